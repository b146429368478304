//! A connection's bytes on their way to the HTTP library: each head is examined first, and each part has its
//! deadline, because the library sets none on bodies. A refused head reaches the library as a request of our own
//! making, so that the refusal is answered in its turn. Leaves to `heads` what a head may be, answers to `listener`.
//!
//! The stream is TCP's own, or TLS over it. Through TLS a byte counts when its record is whole, and what was written may
//! still lie in its buffer: that is why the deadline of an answer holds for flushing and closing too.

#![expect(
    clippy::disallowed_methods,
    reason = "a connection keeps its own deadlines, by the runtime's clock"
)]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::heads::{REFUSED, examine};
use super::limits::Limits;
use super::problem::Problem;

/// A head is at most this long, request line included.
const HEAD_MAX: usize = 16 << 10;

/// A head has at most so many header lines.
const HEADERS_MAX: usize = 64;

/// A head usually fits in this; a connection grows its buffer to [`HEAD_MAX`] at most.
const BUFFER_START: usize = 4 << 10;

/// One connection, read with suspicion.
pub(super) struct Connection<'a, S> {
    stream: &'a mut S,
    limits: &'a Limits,
    /// Bytes of heads, and what came in one read with them; `start..end` is unread.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// So many bytes from `start` belong to a request that was examined.
    passed: usize,
    stage: Stage,
    /// A request was passed on and nothing was answered yet: silence is ours, not the client's.
    answering: bool,
    reading_alarm: Pin<Box<Sleep>>,
    writing_alarm: Option<Pin<Box<Sleep>>>,
}

/// What the next byte from the client belongs to.
enum Stage {
    /// A head, of which `seen` bytes after `start` are examined in `lines` lines; the last began at `line`.
    Head { since: Instant, begun: bool, seen: usize, line: usize, lines: usize, first: bool },
    /// A body.
    Body { since: Instant, got: u64, left: u64 },
    /// Nothing more is read.
    Refused,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    /// A connection that was just accepted.
    pub(super) fn new(stream: &'a mut S, limits: &'a Limits) -> Connection<'a, S> {
        let since = Instant::now();
        Connection {
            stream,
            limits,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            passed: 0,
            stage: Stage::Head { since, begun: false, seen: 0, line: 0, lines: 0, first: true },
            answering: false,
            reading_alarm: Box::pin(sleep_until(since + limits.head_within)),
            writing_alarm: None,
        }
    }

    /// Examines what is in the buffer; `true` once a whole request head, ours or the client's, may pass.
    fn advance(&mut self) -> bool {
        let unread = &self.buffer[self.start..self.end];
        let Stage::Head { seen, line, lines, .. } = &mut self.stage else { return false };
        let fault = loop {
            let Some(at) = unread[*seen..].iter().position(|byte| *byte == b'\n').map(|at| *seen + at) else {
                *seen = unread.len();
                if unread.len() >= HEAD_MAX {
                    break Problem::HeadTooLarge;
                }
                return false;
            };
            *seen = at + 1;
            if at == 0 || unread[at - 1] != b'\r' {
                break Problem::LineEnd;
            }
            if at - 1 == *line {
                let head = &unread[..=at];
                match examine(head) {
                    Ok(length) => {
                        self.pass(head.len(), length);
                        return true;
                    }
                    Err(fault) => break fault,
                }
            }
            *line = at + 1;
            *lines += 1;
            if *lines > 1 + HEADERS_MAX || at >= HEAD_MAX {
                break Problem::HeadTooLarge;
            }
        };
        self.refuse(fault);
        true
    }

    /// Lets a head of this many bytes pass, and the body of this length behind it.
    fn pass(&mut self, head: usize, length: u64) {
        let after = self.end - self.start - head;
        let here = usize::try_from(length).map_or(after, |length| length.min(after));
        self.passed = head + here;
        self.stage = Stage::Body { since: Instant::now(), got: here as u64, left: length - here as u64 };
        self.answering = true;
    }

    /// Puts a request of our own in the place of everything unread.
    fn refuse(&mut self, fault: Problem) {
        self.buffer = format!("{REFUSED} /{} HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n", fault.name())
            .into_bytes();
        self.start = 0;
        self.end = self.buffer.len();
        self.passed = self.end;
        self.stage = Stage::Refused;
        self.answering = true;
    }

    /// Hands over what may pass.
    fn hand_over(&mut self, to: &mut ReadBuf<'_>) {
        let count = self.passed.min(to.remaining());
        to.put_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        self.passed -= count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            // Thousands of idle connections must not keep what one long head needed.
            if self.buffer.len() > BUFFER_START {
                self.buffer = Vec::new();
            }
        }
    }

    /// Reads more of a head.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).clamp(BUFFER_START, HEAD_MAX), 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        match Pin::new(&mut *self.stream).poll_read(cx, &mut room)? {
            Poll::Ready(()) => {
                let count = room.filled().len();
                if let Stage::Head { since, begun, .. } = &mut self.stage
                    && !*begun
                    && count > 0
                {
                    *begun = true;
                    *since = Instant::now();
                }
                self.end += count;
                Poll::Ready(Ok(count))
            }
            Poll::Pending => self.wait(cx),
        }
    }

    /// Nothing came: fails once the client is late.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limits = self.limits;
        let deadline = match self.stage {
            Stage::Head { since, begun: true, .. } | Stage::Head { since, first: true, .. } => {
                since + limits.head_within
            }
            Stage::Head { .. } if self.answering => return Poll::Pending,
            Stage::Head { since, .. } => since + limits.idle,
            Stage::Body { since, got, .. } => {
                let paid = Duration::from_millis(got * 1000 / u64::from(limits.body_rate.max(1)));
                since + limits.body_within.min(limits.body_grace + paid)
            }
            Stage::Refused => return Poll::Pending,
        };
        ring(&mut self.reading_alarm, deadline, cx)
    }

    /// Bytes of an answer left: silence is the client's again. The library may have asked for the next head before
    /// it wrote, and does not ask again, so the alarm is set here.
    fn answered(&mut self, cx: &mut Context<'_>, count: usize) -> Poll<io::Result<usize>> {
        self.writing_alarm = None;
        self.answering = false;
        if let Stage::Head { since, begun: false, .. } = &mut self.stage {
            *since = Instant::now();
        }
        match self.wait(cx) {
            Poll::Pending => Poll::Ready(Ok(count)),
            late @ Poll::Ready(_) => late,
        }
    }

    /// What lay in a buffer of the stream left, or did not: then the client does not read.
    fn left(&mut self, outcome: Poll<io::Result<()>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.writing_alarm = None;
                Poll::Ready(outcome)
            }
            Poll::Pending => self.wait_to_write(cx),
        }
    }

    /// The client does not read its answer: fails once that has lasted.
    fn wait_to_write<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let within = self.limits.answer_within;
        let alarm = self.writing_alarm.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + within)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Fails at the deadline. The alarm is moved only when it would ring too late or has rung: a deadline that
/// moves with each request costs no timer each.
fn ring<T>(alarm: &mut Pin<Box<Sleep>>, deadline: Instant, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    if alarm.deadline() > deadline {
        alarm.as_mut().reset(deadline);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        alarm.as_mut().reset(deadline);
    }
    Poll::Pending
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.passed > 0 {
                this.hand_over(to);
                return Poll::Ready(Ok(()));
            }
            match &mut this.stage {
                Stage::Head { .. } => {
                    if !this.advance() && ready!(this.fill(cx))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Stage::Body { left: 0, .. } => {
                    // What came with the last request is the beginning of the next.
                    let begun = this.end > this.start;
                    this.stage = Stage::Head {
                        since: Instant::now(),
                        begun,
                        seen: 0,
                        line: 0,
                        lines: 0,
                        first: false,
                    };
                }
                Stage::Body { got, left, .. } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(to.remaining());
                    let mut room = ReadBuf::new(to.initialize_unfilled_to(most));
                    let outcome = Pin::new(&mut *this.stream).poll_read(cx, &mut room)?;
                    if outcome.is_pending() {
                        return this.wait(cx);
                    }
                    let count = room.filled().len();
                    *got += count as u64;
                    *left -= count as u64;
                    to.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // An end of the stream would make the library drop the answer; the answer closes the connection.
                Stage::Refused => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut *this.stream).poll_write(cx, bytes)? {
            Poll::Ready(count) => this.answered(cx, count),
            Poll::Pending => this.wait_to_write(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut *this.stream).poll_write_vectored(cx, bytes)? {
            Poll::Ready(count) => this.answered(cx, count),
            Poll::Pending => this.wait_to_write(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut *this.stream).poll_flush(cx);
        this.left(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut *this.stream).poll_shutdown(cx);
        this.left(closed, cx)
    }
}
