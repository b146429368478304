//! Checks as they really run: programs that hang, fork and flood, servers that answer wrongly, slowly or for ever, and the real
//! Prometheus.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use snapback::case::expectation::Expectation;
use snapback::case::probe::Health;
use snapback::probe::{Check, CommandCheck, HttpCheck, Probe, PromqlCheck};

/// No check of these tests takes longer, each of which is given two seconds.
const BEYOND: Duration = Duration::from_secs(5);
/// For what another program has to do first.
const LONG: Duration = Duration::from_secs(60);

/// Looks again and again until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

async fn run(probe: Probe) -> Health {
    tokio::time::timeout(BEYOND, probe.run()).await.expect("a check that goes on past its deadline")
}

/// A shell script, which has all the time that a busy machine takes.
async fn script(folder: &Path, text: &str) -> Health {
    tokio::time::timeout(LONG, within(folder, text, LONG).run()).await.expect("the script to end")
}

/// A shell script that is given two seconds, and takes no longer.
async fn given_two_seconds(folder: &Path, text: &str) -> Health {
    run(within(folder, text, Duration::from_secs(2))).await
}

fn within(folder: &Path, text: &str, deadline: Duration) -> Probe {
    let path = folder.join("smoke.sh");
    std::fs::write(&path, format!("echo $$ > {}\n{text}\n", folder.join("group").display()))
        .expect("a script");
    let argv = ["/bin/sh", "smoke.sh"].map(str::to_owned).into();
    Probe::new(Check::Command(CommandCheck::new(argv, folder.to_owned(), deadline)))
}

/// The processes of the script's group that live still.
fn left(folder: &Path) -> Vec<String> {
    let group = std::fs::read_to_string(folder.join("group")).expect("the script began");
    let alive = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // proc(5): after the name in brackets come state, parent and group.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, of) = (fields.next()?, fields.nth(1)?);
        (of == group.trim() && state != "Z").then(|| stat.clone())
    };
    std::fs::read_dir("/proc").expect("the processes").flatten().filter_map(alive).collect()
}

/// A killed process is gone a moment later.
async fn none_is_left(folder: &Path) {
    until("its group to end", || left(folder).is_empty()).await;
}

fn failing(health: &Health) -> &str {
    let Health::Failing(said) = health else { panic!("not failing: {health:?}") };
    said
}

#[tokio::test]
async fn a_program_says_by_its_status_how_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(script(folder.path(), "exit 0").await, Health::Passing);
    let ill = script(folder.path(), "echo trying; echo 'no database' >&2; exit 3").await;
    let said = failing(&ill);
    assert!(said.contains("ended with status 3") && said.contains("no database"), "{said}");
    let raw = script(folder.path(), "printf 'a\\377\\033[2Jb'; exit 1").await;
    assert!(failing(&raw).ends_with("a\u{fffd} [2Jb"), "{raw:?}");
    // Nothing of ours is in its environment, and it cannot wait for an answer.
    let alone = script(
        folder.path(),
        "env | grep -v -e ^PATH= -e ^PWD= -e ^SHLVL= -e ^_= && exit 1; read x && exit 2; exit 0",
    );
    assert_eq!(alone.await, Health::Passing);
    let argv = vec!["./there-is-none".to_owned()];
    let none = CommandCheck::new(argv, folder.path().to_owned(), Duration::from_secs(2));
    let found = run(Probe::new(Check::Command(none))).await;
    assert!(matches!(&found, Health::Unknown(why) if why.contains("could not be started")), "{found:?}");
}

#[tokio::test]
async fn a_program_that_hangs_forks_or_floods_ends_at_its_deadline_and_leaves_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    for (what, text, killed) in [
        ("hangs", "echo begun; sleep 600", true),
        ("hears no signal", "trap '' TERM INT HUP; echo begun; while :; do sleep 600; done", true),
        ("hangs in a child that holds the pipe", "echo begun; (sleep 600; echo late) & wait", true),
        ("leaves a child behind", "echo begun; sleep 600 & exit 0", false),
        ("floods", "echo begun; exec cat /dev/zero", true),
    ] {
        let health = given_two_seconds(folder.path(), text).await;
        match killed {
            true => assert!(failing(&health).contains("was killed after 2s"), "{what}: {health:?}"),
            false => assert_eq!(health, Health::Passing, "{what}"),
        }
        if let Health::Failing(said) = &health {
            assert!(said.len() < 20_000, "{what}: {} bytes are kept", said.len());
        }
        none_is_left(folder.path()).await;
    }
}

/// What it wrote last is what people read, however much came before it.
#[tokio::test]
async fn of_a_flood_the_end_is_kept_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let ill = script(
        folder.path(),
        "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo 'the database is away'; exit 7",
    )
    .await;
    let said = failing(&ill);
    assert!(said.starts_with("/bin/sh ended with status 7\n"), "{said}");
    assert!(said.ends_with("\nthe database is away"), "{said}");
    assert!(said.chars().count() <= 4096, "a case keeps 4096 characters, these are {}", said.chars().count());
}

/// What a program leaves behind has nothing to say any more, and nobody waits for it.
#[tokio::test]
async fn what_is_left_behind_ends_with_its_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let ill = script(folder.path(), "(sleep 0.5; echo late) & echo early; exit 1").await;
    assert!(failing(&ill).ends_with("early"), "{ill:?}");
}

/// Whoever leaves the group cannot be killed with it, and nobody waits for it.
#[tokio::test]
async fn a_child_that_leaves_the_group_and_holds_the_pipe_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, well) in [("setsid sleep 20 & exit 0", true), ("setsid sleep 20 & sleep 600", false)] {
        let health = given_two_seconds(folder.path(), text).await;
        assert_eq!(health == Health::Passing, well, "{text}: {health:?}");
        none_is_left(folder.path()).await;
    }
}

/// What nobody waits for any more is killed: a reload, or the end of the process.
#[tokio::test]
async fn a_program_that_nobody_waits_for_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let running = tokio::spawn(async move { script(&path, "sleep 600 & sleep 600").await });
    let group = || std::fs::read_to_string(folder.path().join("group")).unwrap_or_default();
    until("the script to begin", || !group().trim().is_empty()).await;
    running.abort();
    assert!(running.await.expect_err("it was cut").is_cancelled());
    none_is_left(folder.path()).await;
}

/// A server that says this to whoever asks, byte by byte as it is; `None`: it takes the call and says nothing.
fn server(says: Option<&'static [u8]>, for_ever: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            if let Some(says) = says {
                let _ = stream.write_all(says);
                while for_ever && stream.write_all(&[b'x'; 4096]).is_ok() {}
            }
            if says.is_none() {
                kept.push(stream);
            }
        }
    });
    format!("http://{address}/health")
}

/// A server that never ends what it says, and says it a byte at a time.
fn dripping(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(says);
            // The pace of what drips is the other side's own.
            while stream.write_all(b"x").is_ok() {
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
    });
    format!("http://{address}/health")
}

#[tokio::test]
async fn an_answer_that_drips_has_no_longer_than_any_other() {
    provide();
    let check = |url| Probe::new(Check::Http(HttpCheck::new(url, 200, Duration::from_secs(2))));
    for (what, url, says) in [
        ("a head", dripping(b"HTTP/1.1 200 OK\r\nX: "), "no answer in time"),
        ("a body", dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"), "breaks off"),
        ("an error", dripping(b"HTTP/1.1 500 X\r\nContent-Length: 60000\r\n\r\n"), "500, not 200"),
    ] {
        let health = run(check(url)).await;
        assert!(failing(&health).contains(says), "{what}: {health:?}");
    }
}

/// What keeps us from asking says nothing of who would be asked.
#[tokio::test]
async fn what_is_wrong_on_this_side_is_nobodys_failure() {
    provide();
    let check =
        |url: &str| Probe::new(Check::Http(HttpCheck::new(url.to_owned(), 200, Duration::from_secs(2))));
    let found = run(check("http://127.0.0.1:99999/health")).await;
    assert!(matches!(&found, Health::Unknown(why) if why.contains("cannot be asked")), "{found:?}");
    // nextest gives each test a process of its own, whose files these are.
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(0), ..before };
    let asked = [check("http://127.0.0.1:1/health"), check("http://localhost:1/health")];
    setrlimit(Resource::Nofile, none).expect("a limit");
    let mut found = Vec::new();
    for check in asked {
        found.push(run(check).await);
    }
    setrlimit(Resource::Nofile, before).expect("the limit before");
    for found in found {
        assert!(matches!(&found, Health::Unknown(why) if why.contains("open files")), "{found:?}");
    }
}

#[tokio::test]
async fn a_get_is_answered_as_expected_or_it_fails() {
    provide();
    let check =
        |url: String, status| Probe::new(Check::Http(HttpCheck::new(url, status, Duration::from_secs(2))));
    let well = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(run(check(server(Some(well), false), 200)).await, Health::Passing);
    let gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(run(check(server(Some(gone), false), 410)).await, Health::Passing);
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
    assert_eq!(run(check(server(Some(long), true), 200)).await, Health::Passing, "a long page is a page");
    for (what, url, says) in [
        (
            "another status",
            server(Some(b"HTTP/1.1 500 X\r\nContent-Length: 11\r\n\r\nno database"), false),
            "500, not 200\nno database",
        ),
        (
            "elsewhere",
            server(Some(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), false),
            "302, not 200",
        ),
        ("silence", server(None, false), "no answer in time"),
        ("no HTTP", server(Some(b"hello\r\n\r\n"), false), "no answer"),
        (
            "half an answer",
            server(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), false),
            "breaks off",
        ),
        (
            "errors for ever",
            server(Some(b"HTTP/1.1 500 X\r\nContent-Length: 1000000000000\r\n\r\n"), true),
            "500, not 200",
        ),
        ("nobody", "http://127.0.0.1:1/health".to_owned(), "no answer"),
    ] {
        let health = run(check(url, 200)).await;
        let said = failing(&health);
        assert!(said.contains(says) && said.len() < 5000, "{what}: {said}");
    }
}

/// The real Prometheus, which scrapes itself. `None`: it is not here, which is said loudly.
fn prometheus(folder: &Path, more: &str) -> Option<(String, Running)> {
    let tools = variable("SNAPBACK_TEST_TOOLS").map(|folder| Path::new(&folder).join("prometheus"));
    let Some(program) = tools.filter(|program| program.exists()) else {
        assert!(
            variable("SNAPBACK_TEST_STRICT").is_none(),
            "the real Prometheus was promised and is not here"
        );
        eprintln!("SKIPPED: the real Prometheus is not here; scripts/test brings it");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    std::fs::write(
        folder.join("prometheus.yml"),
        format!("global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: itself, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}]\n{more}"),
    )
    .expect("its configuration");
    let child = Command::new(program)
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Prometheus begins");
    Some((format!("http://127.0.0.1:{port}"), Running(child)))
}

/// As the program does when it begins.
fn provide() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "scripts/test tells its tests where the programs are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A Prometheus whose store of old samples is away answers with what it has itself, and says so beside it.
#[tokio::test]
async fn an_answer_that_the_real_prometheus_warns_of_says_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let away = "remote_read: [{ url: 'http://127.0.0.1:1/read', read_recent: true }]\n";
    let Some((url, _running)) = prometheus(folder.path(), away) else { return };
    provide();
    let check = |query: &str, expect: &str| {
        let expected = Expectation::parse(expect).expect("a comparison");
        Probe::new(Check::Promql(PromqlCheck::new(url.clone(), query.to_owned(), expected)))
    };
    let begun = async { while run(check("vector(1)", "== 1")).await != Health::Passing {} };
    tokio::time::timeout(LONG, begun).await.expect("Prometheus to begin");
    // With and without a sample of its own: both are part of an answer.
    for expect in ["== 1", "== 0"] {
        let found = run(check("up or vector(1)", expect)).await;
        assert!(
            matches!(&found, Health::Unknown(why) if why.contains("incomplete") && why.contains("remote")),
            "{expect}: {found:?}"
        );
    }
}

#[tokio::test]
async fn the_real_prometheus_is_asked_and_only_a_number_says_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((url, running)) = prometheus(folder.path(), "") else { return };
    provide();
    let check = |query: &str, expect: &str| {
        let expected = Expectation::parse(expect).expect("a comparison");
        Probe::new(Check::Promql(PromqlCheck::new(url.clone(), query.to_owned(), expected)))
    };
    let scraped = async { while run(check("up{job=\"itself\"}", "== 1")).await != Health::Passing {} };
    tokio::time::timeout(LONG, scraped).await.expect("Prometheus to scrape itself");
    assert_eq!(run(check("vector(0.009)", "< 0.01")).await, Health::Passing);
    assert_eq!(run(check("scalar(vector(3))", ">= 3")).await, Health::Passing);
    let wrong = run(check("up", "== 0")).await;
    assert!(failing(&wrong).contains("not == 0: 1 of {__name__=\"up\""), "{wrong:?}");
    assert_eq!(failing(&run(check("vector(1) / 0", "< 5")).await), "not < 5: inf");
    // One bad sample among good ones is bad.
    let mixed = run(check("label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(9)", "< 5")).await;
    assert_eq!(failing(&mixed), "not < 5: 9");
    for (what, query, why) in [
        ("no data", "there_is_no_such_metric", "finds nothing"),
        ("no number", "vector(0) / 0", "NaN"),
        ("no PromQL", "sum(", "could not be made"),
        ("a text", "\"a\"", "could not be made"),
        ("a matrix", "up[1m]", "could not be made"),
    ] {
        let found = run(check(query, "< 5")).await;
        assert!(matches!(&found, Health::Unknown(said) if said.contains(why)), "{what}: {found:?}");
    }
    let nothing = run(check("vector(0) / 0", "!= 5")).await;
    assert!(matches!(nothing, Health::Unknown(_)), "no number is not another number: {nothing:?}");
    drop(running);
    let away = run(check("up", "== 1")).await;
    assert!(
        matches!(&away, Health::Unknown(why) if why.contains("refused")),
        "who cannot be asked says nothing, and we say why: {away:?}"
    );
}

/// Whoever asks for it, a probe never runs beside itself.
#[tokio::test]
async fn a_probe_never_overlaps_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = "mkdir alone || exit 9; head -c 30000000 /dev/zero >/dev/null; rmdir alone";
    let argv = ["sh", "-c", alone].map(str::to_owned).to_vec();
    let check = CommandCheck::new(argv, folder.path().to_owned(), Duration::from_secs(60));
    let probe = Probe::new(Check::Command(check));
    let (one, other, third) = tokio::join!(probe.run(), probe.run(), probe.run());
    assert_eq!([one, other, third], [Health::Passing, Health::Passing, Health::Passing]);
}
