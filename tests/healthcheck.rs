//! `snapback healthcheck`: 0 where the server is ready, 1 where it is not, with the reason, and soon.

mod binary;
mod certificates;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use binary::{Program, furnish, head};
use certificates::{Authority, TLS};

fn healthcheck(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.arg("healthcheck").args(arguments);
    // The admin address of a shell, and a proxy, are not meant for this question.
    command.env("SNAPBACK_URL", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.output().expect("it runs")
}

fn by_config(folder: &Path) -> Output {
    healthcheck(&["--config", folder.join("snapback.toml").to_str().expect("a path")])
}

fn assert_ready(ended: &Output) {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), &b"ready\n"[..]), "{said}");
}

/// Not ready; what it says must have these words.
fn assert_not_ready(ended: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(1), &b""[..]), "{said}");
    assert!(words.iter().all(|word| said.contains(word)) && said.contains("next: "), "{words:?}: {said}");
}

/// A configuration that listens on a port that was free a moment ago, on every address of this machine.
fn config() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
    let everywhere = format!("listen = \"0.0.0.0:{}\"", free.port());
    head("shadow").replace("listen = \"127.0.0.1:0\"", &everywhere)
}

#[test]
fn a_ready_server_is_found_by_its_configuration_and_by_its_address() {
    let config = config().replace("[store]", "plain_http = \"behind-proxy\"\n\n[store]");
    let mut program = Program::start(&config, "");
    assert_ready(&by_config(program.folder.path()));
    let port = program.listen().rsplit(':').next().expect("a port");
    let url = format!("http://127.0.0.1:{port}");
    assert_ready(&healthcheck(&["--url", &url]));
    // A faulty file changes nothing for the server, and nothing for who asks it.
    program.rewrite(&config.replace("\"shadow\"", "\"lvie\""));
    assert_ready(&by_config(program.folder.path()));
    program.kill();
    assert_not_ready(&by_config(program.folder.path()), &[&url, "no answer", "snapback serve"]);
}

/// The certificate names what senders call the server, has ended and is signed by nobody that this machine knows.
#[test]
fn over_tls_the_server_of_this_machine_is_asked_whatever_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Authority::new("ours");
    ours.sign_until(2001).write(folder.path());
    furnish(folder.path(), &config().replace("[store]", &format!("{TLS}\n\n[store]")), "");
    let program = Program::over(folder);
    assert_ready(&by_config(program.folder.path()));
    let port = program.listen().rsplit(':').next().expect("a port");
    assert_ready(&healthcheck(&["--url", &format!("https://127.0.0.1:{port}")]));
    // A name is not known to be this machine's: there the certificate counts.
    assert_not_ready(&healthcheck(&["--url", &format!("https://localhost:{port}")]), &["certificate"]);
    assert_not_ready(&healthcheck(&["--url", &format!("http://127.0.0.1:{port}")]), &["no answer"]);
}

#[test]
fn whoever_is_not_ready_or_no_snapback_is_called_so() {
    let problem = r#"{"type":"urn:snapback:problem:not-ready","title":"…","status":503}"#;
    for (status, body, words) in [
        ("503 Service Unavailable", problem, &["not ready", "cannot be stored"][..]),
        ("503 Service Unavailable", "busy", &["503"]),
        ("200 OK", "welcome to my page", &["200", "not as a snapback server"]),
        ("302 Found", "elsewhere", &["302"]),
    ] {
        let (url, answered) = answering(status, body);
        assert_not_ready(&healthcheck(&["--url", &url]), words);
        assert!(answered.join().expect("asked").starts_with("GET /readyz HTTP/1.1\r\n"));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it waits is what is measured")]
fn a_silent_server_is_given_up_soon() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let begun = Instant::now();
    assert_not_ready(&healthcheck(&["--url", &url]), &["no answer", "timed out"]);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(20), "{waited:?}");
}

#[test]
fn what_cannot_be_asked_is_not_ready() {
    assert_not_ready(&healthcheck(&["--config", "nowhere.toml"]), &["nowhere.toml", "--url"]);
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), "[server]\nlisten = \"here\"\n", "");
    assert_not_ready(&by_config(folder.path()), &["snapback.toml:2", "`here`"]);
    let wrong = healthcheck(&["--url", "ftp://127.0.0.1"]);
    assert_eq!(wrong.status.code(), Some(2), "wrong use");
}

#[test]
fn help_names_it_and_its_flags() {
    let help = |arguments: &[&str]| {
        let ended = Command::new(env!("CARGO_BIN_EXE_snapback")).args(arguments).output().expect("it runs");
        String::from_utf8(ended.stdout).expect("text")
    };
    assert!(help(&["--help"]).contains("healthcheck"));
    let own = help(&["healthcheck", "--help"]);
    assert!(own.contains("--config <FILE>") && own.contains("--url <URL>"), "{own}");
}

/// A listener that answers one request like this; gives its address and what it was asked.
fn answering(status: &str, body: &str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let answers = std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().expect("somebody asks");
        let mut asked = [0; 4096];
        let read = stream.read(&mut asked).expect("a request");
        stream.write_all(answer.as_bytes()).expect("an answer");
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    (url, answers)
}
