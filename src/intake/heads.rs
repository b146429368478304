//! Heads: what a request's head must look like before the HTTP library sees it. The library accepts bare line
//! feeds and more; two readers that disagree about where a request ends are how requests are smuggled. Leaves to
//! `connection` where a head begins, and how long it may take.

use super::problem::Problem;

/// A request's target is at most this long.
const TARGET_MAX: usize = 2 << 10;

/// The method of the request that stands for a refused head. No client can send it: its own heads with this
/// method are refused.
pub(super) const REFUSED: &str = "REFUSED";

/// Every way in which a head can be refused, by its name.
const FAULTS: [Problem; 12] = [
    Problem::RequestLine,
    Problem::Version,
    Problem::TargetTooLong,
    Problem::HeadTooLarge,
    Problem::LineEnd,
    Problem::FoldedHeader,
    Problem::HeaderLine,
    Problem::DuplicateHeader,
    Problem::ContentLength,
    Problem::TwoLengths,
    Problem::LengthRequired,
    Problem::Host,
];

/// The refusal that a request of our own making stands for.
pub(super) fn refusal(path: &str) -> Problem {
    FAULTS
        .into_iter()
        .find(|fault| path.trim_start_matches('/') == fault.name())
        .unwrap_or(Problem::RequestLine)
}

/// Reads a whole head, its empty line included: the length of the body that follows.
pub(super) fn examine(head: &[u8]) -> Result<u64, Problem> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 2]);
    if head.iter().zip(&head[1..]).any(|(byte, next)| *byte == 0 || (*byte == b'\r' && *next != b'\n')) {
        return Err(Problem::LineEnd);
    }
    request_line(lines.next().unwrap_or_default())?;
    let mut once = Once::default();
    let (mut length, mut encoded) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        if line[0] == b' ' || line[0] == b'\t' {
            return Err(Problem::FoldedHeader);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Problem::HeaderLine)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Problem::HeaderLine);
        }
        once.meet(name)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(plain_number(value)?);
        }
        encoded |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    match (length, encoded) {
        (Some(_), true) => Err(Problem::TwoLengths),
        // Every documented sender says how long its body is; one framing less is one quarrel less.
        (None, true) => Err(Problem::LengthRequired),
        _ if !once.met[0] => Err(Problem::Host),
        (length, false) => Ok(length.unwrap_or(0)),
    }
}

/// Headers that may stand once: those that say where a body ends, what it is, and who sends it.
const ONCE: [&[u8]; 11] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"content-encoding",
    b"authorization",
    b"x-pagerduty-signature",
    b"x-hub-signature-256",
    b"x-grafana-alerting-signature",
    b"x-slack-signature",
    b"x-slack-request-timestamp",
];

/// Which of [`ONCE`] were met.
#[derive(Default)]
struct Once {
    met: [bool; ONCE.len()],
}

impl Once {
    fn meet(&mut self, name: &[u8]) -> Result<(), Problem> {
        let Some(at) = ONCE.iter().position(|once| once.eq_ignore_ascii_case(name)) else { return Ok(()) };
        if std::mem::replace(&mut self.met[at], true) { Err(Problem::DuplicateHeader) } else { Ok(()) }
    }
}

/// `METHOD target HTTP/1.1`, with single spaces.
fn request_line(line: &[u8]) -> Result<(), Problem> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Problem::RequestLine);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || method == REFUSED.as_bytes() {
        return Err(Problem::RequestLine);
    }
    if target.len() > TARGET_MAX {
        return Err(Problem::TargetTooLong);
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::RequestLine);
    }
    match version {
        b"HTTP/1.1" => Ok(()),
        version if version.starts_with(b"HTTP/") => Err(Problem::Version),
        _ => Err(Problem::RequestLine),
    }
}

/// Digits alone: no sign, no list, no more than a body could ever be.
fn plain_number(value: &[u8]) -> Result<u64, Problem> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Problem::ContentLength);
    }
    Ok(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_where_its_body_ends_in_one_way_only() {
        let head = |rest: &str| format!("POST /v1/alerts/a HTTP/1.1\r\nHost: x\r\n{rest}\r\n");
        for (rest, expected) in [
            ("", Ok(0)),
            ("Content-Length: 12\r\n", Ok(12)),
            ("content-length:\t12 \r\n", Ok(12)),
            ("Content-Length: 12\r\nContent-Length: 12\r\n", Err(Problem::DuplicateHeader)),
            ("Content-Length: 12, 12\r\n", Err(Problem::ContentLength)),
            ("Content-Length: +12\r\n", Err(Problem::ContentLength)),
            ("Content-Length: 0x1\r\n", Err(Problem::ContentLength)),
            ("Content-Length: \r\n", Err(Problem::ContentLength)),
            ("Content-Length: 9999999999999999999\r\n", Err(Problem::ContentLength)),
            ("Content-Length : 12\r\n", Err(Problem::HeaderLine)),
            ("Content-Length: 12\r\nTransfer-Encoding: chunked\r\n", Err(Problem::TwoLengths)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 12\r\n", Err(Problem::TwoLengths)),
            ("Transfer-Encoding: chunked\r\n", Err(Problem::LengthRequired)),
            ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", Err(Problem::DuplicateHeader)),
            ("X: a\r\n b\r\n", Err(Problem::FoldedHeader)),
            ("X: a\r\n\tContent-Length: 5\r\n", Err(Problem::FoldedHeader)),
            ("X: a\rb\r\n", Err(Problem::LineEnd)),
            ("X: a\0b\r\n", Err(Problem::LineEnd)),
            ("X\r\n", Err(Problem::HeaderLine)),
            (": x\r\n", Err(Problem::HeaderLine)),
            ("Authorization: a\r\nauthorization: b\r\n", Err(Problem::DuplicateHeader)),
            ("Content-Type: a\r\nContent-Type: a\r\n", Err(Problem::DuplicateHeader)),
            ("Host: y\r\n", Err(Problem::DuplicateHeader)),
        ] {
            assert_eq!(examine(head(rest).as_bytes()), expected, "{rest:?}");
        }
    }

    #[test]
    fn a_request_line_has_one_form() {
        let long = format!("GET /{} HTTP/1.1", "x".repeat(TARGET_MAX));
        for (line, expected) in [
            ("GET / HTTP/1.1", Ok(0)),
            ("GET /%C3%BC?a=b HTTP/1.1", Ok(0)),
            ("GET  / HTTP/1.1", Err(Problem::RequestLine)),
            ("GET /a b HTTP/1.1", Err(Problem::RequestLine)),
            ("GET /\u{fc} HTTP/1.1", Err(Problem::RequestLine)),
            ("GET /", Err(Problem::RequestLine)),
            (" / HTTP/1.1", Err(Problem::RequestLine)),
            ("GET / HTTP/1.0", Err(Problem::Version)),
            ("PRI * HTTP/2.0", Err(Problem::Version)),
            ("GET / http/1.1", Err(Problem::RequestLine)),
            ("REFUSED / HTTP/1.1", Err(Problem::RequestLine)),
            (long.as_str(), Err(Problem::TargetTooLong)),
        ] {
            assert_eq!(examine(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()), expected, "{line}");
        }
        assert_eq!(examine(b"GET / HTTP/1.1\r\n\r\n"), Err(Problem::Host));
    }

    #[test]
    fn every_refusal_is_found_by_its_name() {
        for fault in FAULTS {
            assert_eq!(refusal(&format!("/{}", fault.name())), fault);
        }
    }
}
