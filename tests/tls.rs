//! TLS on the public listener: the real binary, certificates made here, ordinary clients and hand-made bytes.

mod binary;
mod certificates;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use binary::{DEADLINE, Program, TOKEN, furnish, head};
use certificates::{Authority, Certificate, TLS, put};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

const ALERT: &str = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}"#;

/// A configuration whose public listener speaks TLS; the line is the eighth.
fn config() -> String {
    format!("{}{SERVICE}", head("shadow").replace("[store]", &format!("{TLS}\n\n[store]")))
}

const SERVICE: &str = r#"
[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "checkout" }
"#;

/// Tells of everything, so that `check` has nothing to say but what a test is about.
const RULES: &str = "[[rule]]\nname = \"all\"\naction = \"notify\"\n";

fn begin(certificate: &Certificate) -> Program {
    begin_with(certificate, &config())
}

fn begin_with(certificate: &Certificate, config: &str) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    certificate.write(folder.path());
    furnish(folder.path(), config, RULES);
    Program::over(folder)
}

/// A client that trusts this authority and nobody else.
fn client(trusts: &Authority) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(trusts.pem().as_bytes()).expect("a certificate");
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]).timeout(DEADLINE);
    builder.build().expect("a client")
}

async fn post(
    client: &reqwest::Client,
    program: &Program,
    body: String,
) -> reqwest::Result<reqwest::Response> {
    let url = format!("https://{}/v1/alerts/prometheus", program.listen());
    client.post(url).bearer_auth(TOKEN).header("content-type", "application/json").body(body).send().await
}

#[tokio::test]
async fn an_alert_over_tls_is_stored() {
    let ours = Authority::new("ours");
    let program = begin(&ours.sign());
    let client_of_ours = client(&ours);
    for _ in 0..3 {
        let told = post(&client_of_ours, &program, ALERT.into()).await.expect("an answer");
        assert_eq!((told.status(), told.version()), (reqwest::StatusCode::OK, reqwest::Version::HTTP_11));
    }
    // As much as fills many records and buffers on both sides.
    let long = format!("{}{ALERT}", " ".repeat(2 << 20));
    assert_eq!(post(&client_of_ours, &program, long).await.expect("an answer").status(), 200);
    let stranger = client(&Authority::new("another"));
    post(&stranger, &program, ALERT.into()).await.expect_err("nobody vouches for it");
    program.wait("all to be decided", "/v1/state", |state| state["queues"]["undecided"] == 0);
}

#[test]
fn plain_http_on_the_tls_port_gets_nothing() {
    let ours = Authority::new("ours");
    let program = begin(&ours.sign());
    let request = format!(
        "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ALERT}",
        ALERT.len()
    );
    let answer = say(program.listen(), request.as_bytes());
    // A TLS alert at most, which is no word of HTTP.
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP") && answer.len() <= 7, "{answer:?}");
    program.wait_for_line(&["TLS handshake came to nothing"]);
}

#[test]
fn tls_1_1_is_refused_and_1_2_is_spoken() {
    let program = begin(&Authority::new("ours").sign());
    // Alert 70 is protocol_version (RFC 5246, 7.2.2): of the type 21, fatal.
    let refused = say(program.listen(), &client_hello(0x0302));
    assert_eq!((refused.first(), refused.get(5..7)), (Some(&21), Some(&[2, 70][..])), "{refused:?}");
    let mut stream = connect(program.listen());
    stream.write_all(&client_hello(0x0303)).expect("written");
    let mut spoken = [0; 11];
    stream.read_exact(&mut spoken).expect("an answer");
    // A handshake record with a ServerHello of TLS 1.2.
    assert_eq!((spoken[0], spoken[5], &spoken[9..11]), (22, 2, &[3, 3][..]), "{spoken:?}");
}

#[tokio::test]
async fn nothing_but_http_1_1_is_agreed_on() {
    let ours = Authority::new("ours");
    let program = begin(&ours.sign());
    assert_eq!(agreed(&ours, &program, &["h2", "http/1.1"]).await.expect("agreed"), "http/1.1");
    assert_eq!(agreed(&ours, &program, &[]).await.expect("agreed"), "");
    agreed(&ours, &program, &["h2"]).await.expect_err("HTTP/2 alone is not spoken");
}

/// What a client that offers these protocols agrees on with the server.
async fn agreed(ours: &Authority, program: &Program, offered: &[&str]) -> std::io::Result<String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ours.pem().as_bytes()).expect("a certificate")).expect("a root");
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(program.listen()).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let agreed = stream.get_ref().1.alpn_protocol().unwrap_or_default();
    Ok(String::from_utf8_lossy(agreed).into_owned())
}

/// The silent one holds the only place, so the other is served as soon as the handshake is cut and no sooner.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long the handshake was waited for is what is measured")]
async fn a_slow_handshake_is_cut_and_gives_its_place_back() {
    let ours = Authority::new("ours");
    let program =
        begin_with(&ours.sign(), &format!("{}\n[limits]\nconnections = 1\nper_address = 1\n", config()));
    let begun = Instant::now();
    let mut slow = connect(program.listen());
    slow.write_all(&client_hello(0x0303)[..20]).expect("written");
    let told = post(&client(&ours), &program, ALERT.into()).await.expect("an answer");
    let waited = begun.elapsed();
    assert_eq!(told.status(), 200);
    assert!(waited >= Duration::from_millis(4500), "served after {waited:?}, while the only place was taken");
    assert!(waited < Duration::from_secs(20), "cut only after {waited:?}");
    let mut rest = Vec::new();
    // A reset is a close as well.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    program.wait_for_line(&["TLS handshake came to nothing", "deadline"]);
}

#[tokio::test]
async fn a_rotated_certificate_is_taken_and_a_faulty_pair_keeps_the_old_one() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let program = begin(&first.sign());
    let by = async |authority| {
        Ok::<_, reqwest::Error>(post(&client(authority), &program, ALERT.into()).await?.status())
    };
    assert_eq!(by(&first).await.expect("an answer"), 200);

    // A key that fits nothing: told, with its place, and not taken.
    let right = second.sign();
    put(&program.path("key.pem"), &second.sign().key);
    put(&program.path("cert.pem"), &right.chain);
    let told = program.wait("the fault to be told", "/v1/state", |state| state["config_error"].is_string());
    let error = told["config_error"].as_str().unwrap_or_default();
    assert!(error.contains("snapback.toml:8:") && error.contains("does not fit the certificate"), "{error}");
    program.wait_for_line(&["the old one stays", "does not fit the certificate"]);
    assert_eq!(by(&first).await.expect("the old one"), 200);
    by(&second).await.expect_err("the new one was taken with a key that does not fit");

    put(&program.path("key.pem"), &right.key);
    program.wait("the fault to be gone", "/v1/state", |state| state["config_error"].is_null());
    assert_eq!(by(&second).await.expect("the new one"), 200);
    by(&first).await.expect_err("the old one is still shown");

    // A file that is gone is a fault as well, until it is back; a hangup reads it as a change does.
    std::fs::remove_file(program.path("cert.pem")).expect("removed");
    program.hang_up();
    program.wait("the missing file to be told", "/v1/state", |state| {
        state["config_error"].as_str().is_some_and(|error| error.contains("cannot be read"))
    });
    assert_eq!(by(&second).await.expect("the old one"), 200);
}

#[tokio::test]
async fn whether_tls_is_spoken_is_taken_at_a_new_start() {
    let ours = Authority::new("ours");
    let program = begin(&ours.sign());
    program.rewrite(&config().replace(TLS, "").replace("\"shadow\"", "\"live\""));
    program.wait("the rest to be taken", "/v1/state", |state| state["mode"] == "live");
    program.wait_for_line(&["server.tls", "only at a new start"]);
    assert_eq!(post(&client(&ours), &program, ALERT.into()).await.expect("an answer").status(), 200);
}

#[test]
fn a_faulty_pair_is_told_with_its_place() {
    let ours = Authority::new("ours");
    let (right, other) = (ours.sign(), ours.sign());
    let cases = [
        (None, Some(&*right.key), "`cert.pem` cannot be read"),
        (Some(&*right.chain), None, "`key.pem` cannot be read"),
        (Some(&*right.chain), Some(&*other.key), "`key.pem`: the key does not fit the certificate"),
        (Some(&*right.key), Some(&*right.key), "`cert.pem`: it holds no certificate"),
        (Some(&*right.chain), Some(&*right.chain), "`key.pem`: it holds no private key"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA"), Some(&*right.key), "`cert.pem`: it is no sound PEM"),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            Some(&*right.key),
            "`cert.pem`: certificate 1 in it is none",
        ),
    ];
    for (chain, key, says) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        furnish(folder.path(), &config(), RULES);
        for (name, text) in [("cert.pem", chain), ("key.pem", key)] {
            text.into_iter()
                .for_each(|text| std::fs::write(folder.path().join(name), text).expect("written"));
        }
        let (code, faults) = checked(folder.path());
        assert_eq!(code, Some(2), "{faults:#?}");
        let [fault] = &faults[..] else { panic!("{says}: {faults:#?}") };
        let message = fault["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(says), "{says}: {message}");
        assert_eq!((&fault["severity"], &fault["line"]), (&"fault".into(), &8.into()), "{fault:#}");
        assert!(fault["file"].as_str().is_some_and(|file| file.ends_with("snapback.toml")), "{fault:#}");
        // The place is that of the file's name: the certificate stands at the left, the key at the right.
        assert_eq!(fault["column"], if says.starts_with("`cert") { 23 } else { 41 }, "{says}");
    }
}

#[test]
fn a_certificate_outside_its_time_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new("ours").sign_until(2001).write(folder.path());
    furnish(folder.path(), &config(), RULES);
    let (code, faults) = checked(folder.path());
    assert_eq!(code, Some(0), "{faults:#?}");
    let [warning] = &faults[..] else { panic!("{faults:#?}") };
    assert_eq!((&warning["severity"], &warning["line"]), (&"warning".into(), &8.into()), "{warning:#}");
    let message = warning["message"].as_str().unwrap_or_default();
    assert!(message.contains("has expired: it ended at 2001-01-01"), "{message}");
}

#[test]
fn a_key_in_the_configuration_itself_is_a_fault_and_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let right = Authority::new("ours").sign();
    right.write(folder.path());
    let written_out = config().replace("\"key.pem\"", &format!("\"{}\"", right.key.replace('\n', "\\n")));
    furnish(folder.path(), &written_out, RULES);
    let ended = check(folder.path(), "text");
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(2));
    assert!(shown.contains("`key` is written out in the file"), "{shown}");
    let secret = right.key.lines().nth(1).expect("a line of the key");
    assert!(!shown.contains(&secret[..20]), "{shown}");
}

#[test]
fn with_tls_senders_may_come_from_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new("ours").sign().write(folder.path());
    furnish(folder.path(), &config().replace("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:8443\""), RULES);
    assert_eq!(checked(folder.path()), (Some(0), vec![]));
    // The admin routes speak no TLS of their own.
    furnish(folder.path(), &config().replace("admin = \"127.0.0.1:0\"", "admin = \"0.0.0.0:8081\""), RULES);
    let (code, faults) = checked(folder.path());
    assert_eq!(code, Some(2));
    assert_eq!(faults[0]["message"], "`admin` is off loopback and without TLS", "{faults:#?}");
}

/// A ClientHello of this version, without the extension that would offer TLS 1.3: suites and groups of TLS 1.2 that
/// every certificate of these tests can use (RFC 5246, 7.4.1.2; RFC 8422).
fn client_hello(version: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    // No session; ECDHE with ECDSA and AES-GCM, and its like of TLS 1.0; no compression.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    // Groups: P-256 and X25519. Signatures: ECDSA with SHA-256. Points: uncompressed.
    let groups = [0, 10, 0, 6, 0, 4, 0, 23, 0, 29];
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    let points = [0, 11, 0, 2, 1, 0];
    let extensions = [&groups[..], &signatures, &points].concat();
    body.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).expect("short");
    let mut message = vec![1, 0];
    message.extend(length.to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend(message);
    record
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

/// Says this and gives everything that comes back until the other side closes.
fn say(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("written");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Closed over bytes that nobody read: a close as well.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        ended => drop(ended.expect("a close in time")),
    }
    answer
}

fn check(folder: &std::path::Path, format: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.args(["check", "--format", format, "--config"]).arg(folder.join("snapback.toml"));
    command.output().expect("it runs")
}

/// The exit code of `check`, and every fault.
fn checked(folder: &std::path::Path) -> (Option<i32>, Vec<serde_json::Value>) {
    let ended = check(folder, "json");
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let faults = told["faults"].as_array().expect("a list").clone();
    (ended.status.code(), faults)
}
