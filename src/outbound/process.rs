//! A program of the user's own: run without a shell, with nothing in its environment but a fixed `PATH`, without input, in a
//! process group of its own, which is killed as a whole at its deadline. Leaves what it is for, and what its end means, to
//! whoever runs it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::case::id::Duration;

/// Where programs are looked for: a command means the same however we were started.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// After the program ended, or was killed, what it left in its pipes is read for so long. A daemon that it started may hold
/// them open for ever.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// A program that ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub how: How,
    /// The end of what it wrote, both streams together.
    pub output: String,
}

/// How a program ended.
#[derive(Debug)]
pub enum How {
    /// By itself, or by a signal of somebody else's.
    Exited(ExitStatus),
    /// It was killed at its deadline, which was so long.
    Killed(std::time::Duration),
    /// The operating system does not tell.
    Unknown(io::Error),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::process::ExitStatusExt;
        match self {
            How::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "ended with status {code}"),
                (None, Some(signal)) => write!(f, "ended by signal {signal}"),
                (None, None) => f.write_str("ended in an unknown way"),
            },
            How::Killed(after) => {
                write!(f, "was killed after {:#}", Duration::try_from(*after).unwrap_or(Duration::MAX))
            }
            How::Unknown(error) => write!(f, "could not be waited for: {error}"),
        }
    }
}

/// The process group of a program that must not outlive whoever runs it: when this goes, everybody in it is killed.
#[derive(Debug)]
pub struct Group(Option<Pid>);

impl Group {
    /// The group that this program leads.
    pub fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is gone already when everybody in it has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Starts a program: its words, and where it runs.
///
/// # Errors
/// When it cannot be started; then nothing of it runs.
pub fn spawn(argv: &[String], folder: &Path) -> io::Result<Child> {
    spawn_with(argv, folder, &[])
}

/// The same, with these in its environment beside `PATH`.
///
/// # Errors
/// When it cannot be started; then nothing of it runs.
pub fn spawn_with(argv: &[String], folder: &Path, environment: &[(&str, String)]) -> io::Result<Child> {
    command(argv, folder, environment)?.stdin(Stdio::null()).spawn()
}

/// A program that may outlive whoever started it: it writes to files that nobody else sees, because a pipe whose reader is gone would end
/// it at its next word.
#[derive(Debug)]
pub struct Lasting {
    child: Child,
    stdout: File,
    stderr: File,
}

/// Starts a program that may outlive us, with this to read on its standard input.
///
/// # Errors
/// When it cannot be started; then nothing of it runs.
pub fn spawn_lasting(
    argv: &[String],
    folder: &Path,
    environment: &[(&str, String)],
    told: Vec<u8>,
) -> io::Result<Lasting> {
    let (stdout, stderr) = (unseen()?, unseen()?);
    let mut child = command(argv, folder, environment)?
        .stdin(Stdio::piped())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has its pipe closed when it ends: nobody waits for that.
        tokio::spawn(async move {
            let _ = input.write_all(&told).await;
        });
    }
    Ok(Lasting { child, stdout, stderr })
}

/// A file without a name, which goes when nobody has it open: on the disk where that can be had, else in memory.
fn unseen() -> io::Result<File> {
    let on_disk = open("/tmp", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    let file = on_disk.or_else(|_| memfd_create("output", MemfdFlags::CLOEXEC))?;
    Ok(File::from(file))
}

/// A lasting program that ended.
#[derive(Debug)]
pub struct Last {
    /// How.
    pub how: How,
    /// The end of what it wrote to its standard output.
    pub stdout: String,
    /// The end of what it wrote to its standard error.
    pub stderr: String,
}

/// Waits until it ended, or kills its group at its deadline; its last words are read then.
pub async fn follow_lasting(lasting: Lasting, timeout: std::time::Duration, keep: usize) -> Last {
    let Lasting { mut child, stdout, stderr } = lasting;
    let how = ended(&mut child, timeout).await;
    let read = tokio::task::spawn_blocking(move || (tail(&stdout, keep), tail(&stderr, keep)));
    let (stdout, stderr) = read.await.unwrap_or_default();
    Last { how, stdout, stderr }
}

/// The last bytes of a file. Whoever is left of the program may still write: where it does is not moved.
fn tail(file: &File, keep: usize) -> String {
    let length = file.metadata().map_or(0, |of| of.len());
    let from = length.saturating_sub(u64::try_from(keep).unwrap_or(u64::MAX));
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(keep)];
    match file.read_exact_at(&mut bytes, from) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("what it wrote cannot be read: {error}"),
    }
}

fn command(argv: &[String], folder: &Path, environment: &[(&str, String)]) -> io::Result<Command> {
    let Some((program, arguments)) = argv.split_first() else { return Err(io::Error::other("no command")) };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(command)
}

/// Waits until a program ended, or kills its group at its deadline. What it leaves behind in the group that is given ends with
/// it, or when nobody waits any more. Of its output the last `keep` bytes are kept; more is read and forgotten, so that one that
/// floods is not stopped by a full pipe.
pub async fn follow(
    mut child: Child,
    group: Option<Group>,
    timeout: std::time::Duration,
    keep: usize,
) -> Ended {
    let output = Arc::new(Mutex::new(Vec::new()));
    let mut readers = JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        readers.spawn(drain(stream, output.clone(), keep));
    }
    if let Some(stream) = child.stderr.take() {
        readers.spawn(drain(stream, output.clone(), keep));
    }
    let how = ended(&mut child, timeout).await;
    // At once: whoever is left may hold the pipes, and the number of an empty group is given to others some day.
    drop(group);
    let _ = tokio::time::timeout(LAST_WORDS, async { while readers.join_next().await.is_some() {} }).await;
    readers.abort_all();
    let bytes = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    Ended { how, output: String::from_utf8_lossy(&bytes).into_owned() }
}

async fn ended(child: &mut Child, timeout: std::time::Duration) -> How {
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(Ok(status)) => How::Exited(status),
        Ok(Err(error)) => How::Unknown(error),
        Err(_) => {
            drop(Group::of(child));
            // A process that waits for a dead disk cannot be killed now, and nobody waits for it.
            let _ = tokio::time::timeout(LAST_WORDS, child.wait()).await;
            How::Killed(timeout)
        }
    }
}

/// Reads a stream to its end and keeps the last part.
async fn drain(mut stream: impl AsyncRead + Unpin, output: Arc<Mutex<Vec<u8>>>, keep: usize) {
    let mut chunk = vec![0; 8 * 1024];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                output.extend(chunk.iter().take(length));
                let excess = output.len().saturating_sub(keep);
                output.drain(..excess);
            }
        }
    }
}
