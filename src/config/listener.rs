//! The public listener as the file tells of it, for whoever asks a running server: a file whose other parts are faulty
//! still says where it listens, and the server goes on with what it read before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::fault::Findings;
use super::read::Table;
use super::server::{ServerSettings, address};
use super::{FileText, Surroundings};

/// Where the server can be asked from its own machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its address; that of loopback where it listens on every address.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// The file does not say where the server listens; why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ListenerUnknown(String);

/// Reads where the server of this configuration listens, and nothing else of it.
///
/// # Errors
/// When the file cannot be read, is no TOML, or names no address.
pub fn listener(path: &Path) -> Result<Listener, ListenerUnknown> {
    let findings = Findings::default();
    let beside = path.parent().unwrap_or(Path::new(""));
    let surroundings = Surroundings { beside, variables: &|_| None, findings: &findings };
    let file = FileText::read(path, &findings);
    let found = file.parse(surroundings.page(&file)).and_then(|document| {
        let root = Table::root(surroundings.page(&file), &document);
        root.leave_unchecked();
        if !root.has("server") {
            return Some(of(ServerSettings::default().listen, false));
        }
        let server = root.table("server")?;
        server.leave_unchecked();
        let listen = match server.has("listen") {
            true => address(&server, "listen")?.value,
            false => ServerSettings::default().listen,
        };
        Some(of(listen, server.has("tls")))
    });
    found.ok_or_else(|| {
        let (faults, ..) = findings.into_parts(std::slice::from_ref(&file.name));
        let first = faults.first().map(|fault| format!("{}:{}: {}", fault.file, fault.line, fault.message));
        ListenerUnknown(first.unwrap_or_else(|| format!("{}: it names no address", file.name)))
    })
}

fn of(listen: SocketAddr, tls: bool) -> Listener {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    Listener { address: SocketAddr::new(ip, listen.port()), tls }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Listener, ListenerUnknown> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("snapback.toml");
        std::fs::write(&path, text).expect("written");
        listener(&path)
    }

    #[test]
    fn every_address_is_asked_on_loopback() {
        for (text, address, tls) in [
            ("", "127.0.0.1:8080", false),
            ("[server]\nlisten = \"0.0.0.0:8443\"\ntls = {}", "127.0.0.1:8443", true),
            ("[server]\nlisten = \"[::]:8080\"", "[::1]:8080", false),
            ("[server]\nlisten = \"192.0.2.7:8080\"", "192.0.2.7:8080", false),
            (
                "mode = \"dead\"\n[sever]\n[server]\nlisten = \"127.0.0.1:9\"\nnonsense = 1",
                "127.0.0.1:9",
                false,
            ),
        ] {
            let listener = read(text).expect("an address");
            assert_eq!(listener, Listener { address: address.parse().expect("an address"), tls }, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for (text, says) in [
            ("[server]\nlisten = \"here\"", ":2: `here`"),
            ("server = 1", ":1: `server`"),
            ("[server", ":1: "),
        ] {
            let unknown = read(text).expect_err("nothing to go by").to_string();
            assert!(unknown.contains(says), "{unknown}");
        }
        let unknown = listener(Path::new("nowhere.toml")).expect_err("no file").to_string();
        assert!(unknown.contains("nowhere.toml:1: the file cannot be read"), "{unknown}");
    }
}
