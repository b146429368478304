//! A configuration in a folder that goes away, and the real binary serving it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) type Fault = Box<dyn std::error::Error>;

/// What a source must show.
pub(crate) const TOKEN: &str = "a-token-of-the-bench";
/// Nothing here takes longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a configuration of so many services, each with a release directory of its own.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Stage {
    pub(crate) fn new(services: usize, rules: &str) -> Result<Stage, Fault> {
        // Under the target folder: a temporary folder may lie in memory, where a sync costs nothing.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (listen, admin) = (free_address()?, free_address()?);
        std::fs::write(folder.path().join("token"), TOKEN)?;
        std::fs::write(folder.path().join("rules.toml"), rules)?;
        let mut text = format!(
            r#"mode = "shadow"
rules = "rules.toml"
[server]
listen = "{listen}"
admin = "{admin}"
[limits]
per_address = 2000
[store]
url = "sqlite:data/snapback.db"
[sources.prometheus]
kind = "alertmanager"
bearer_token = {{ file = "token" }}
services = ["*@production"]
[providers.hosts]
kind = "directory"
"#
        );
        for service in 0..services {
            let root = folder.path().join(format!("srv/shop-{service:03}"));
            for release in ["v1", "v2"] {
                std::fs::create_dir_all(root.join("releases").join(release))?;
            }
            std::os::unix::fs::symlink("releases/v2", root.join("current"))?;
            text.push_str(&format!(
                "[[service]]\nname = \"shop-{service:03}\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = {{ root = \"{}\" }}\n",
                root.display()
            ));
        }
        std::fs::write(folder.path().join("snapback.toml"), text)?;
        Ok(Stage { folder, listen, admin })
    }

    /// A live configuration of one's own, below the addresses and the store.
    pub(crate) fn with(rules: &str, rest: &str) -> Result<Stage, Fault> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (listen, admin) = (free_address()?, free_address()?);
        std::fs::write(folder.path().join("token"), TOKEN)?;
        std::fs::write(folder.path().join("rules.toml"), rules)?;
        let text = format!(
            "mode = \"live\"\nrules = \"rules.toml\"\n[server]\nlisten = \"{listen}\"\nadmin = \"{admin}\"\n[limits]\nper_address = 2000\n[store]\nurl = \"sqlite:data/snapback.db\"\n{rest}"
        );
        std::fs::write(folder.path().join("snapback.toml"), text)?;
        Ok(Stage { folder, listen, admin })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("snapback.toml")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts the real binary and waits until it is ready.
    pub(crate) fn serve(&self) -> Result<Serving, Fault> {
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["serve", "--log", "error", "--config"])
            .env("AWS_ACCESS_KEY_ID", "AKIABENCH")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .arg(self.config())
            .stdout(Stdio::null())
            .spawn()?;
        let mut serving = Serving { child, admin: self.admin, ready_after: Duration::ZERO };
        until("the server to be ready", || {
            Ok(get(self.listen, "/readyz").is_ok_and(|(code, _)| code == 200))
        })?;
        serving.ready_after = begun.elapsed();
        Ok(serving)
    }
}

/// The real binary, serving; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    admin: SocketAddr,
    /// From its start to the first answer that it is ready.
    pub(crate) ready_after: Duration,
}

impl Serving {
    /// The memory that it holds, in MB, as the kernel counts it.
    pub(crate) fn resident_mb(&self) -> Result<f64, Fault> {
        self.memory_mb("VmRSS:")
    }

    /// The most that it ever held, in MB.
    pub(crate) fn most_resident_mb(&self) -> Result<f64, Fault> {
        self.memory_mb("VmHWM:")
    }

    fn memory_mb(&self, which: &str) -> Result<f64, Fault> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(which))
            .ok_or_else(|| format!("no {which} only Linux tells it"))?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Waits until everything that was accepted is decided.
    pub(crate) fn decided(&self) -> Result<(), Fault> {
        until("every delivery to be decided", || {
            let (_, body) = get(self.admin, "/v1/state")?;
            let state: serde_json::Value = serde_json::from_str(&body)?;
            Ok(state["queues"]["undecided"] == 0)
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Fault>) -> Result<(), Fault> {
    let begun = Instant::now();
    while !holds()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("waited {} s for {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn get(address: SocketAddr, path: &str) -> Result<(u16, String), Fault> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut first = String::new();
    answer.read_line(&mut first)?;
    let code = first.split(' ').nth(1).ok_or("no status line")?.parse()?;
    let mut rest = String::new();
    answer.read_to_string(&mut rest)?;
    Ok((code, rest.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())))
}

/// What the machine is doing beside this, over the last minute.
pub(crate) fn load_average() -> Result<f64, Fault> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().ok_or("an empty /proc/loadavg")?.parse()?)
}
