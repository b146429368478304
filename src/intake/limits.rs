//! Limits of a listener: how many, how large, how slow. Every number can be set, so that a small host can be
//! stricter and a test need not wait; the defaults are the product's. Leaves their enforcement to `listener` and
//! `connection`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a listener bears.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once. Beyond it nothing is accepted, and the kernel's backlog waits.
    pub connections: usize,
    /// Connections open at once from one address (IPv4) or one /64 network (IPv6).
    pub per_address: usize,
    /// Their peers stand for many: exempt from `per_address`.
    pub trusted_proxies: Vec<Subnet>,
    /// From the acceptance of a connection to the end of its TLS handshake.
    pub handshake_within: Duration,
    /// From the first byte of a head, or the beginning of the connection (with TLS, its handshake's end), to the head's end.
    pub head_within: Duration,
    /// Silence between two requests of one connection.
    pub idle: Duration,
    /// From the end of a head to the end of its body.
    pub body_within: Duration,
    /// A body may be this late against `body_rate`: one lost packet is no fault.
    pub body_grace: Duration,
    /// Bytes a second that a body must keep up, beside `body_within`.
    pub body_rate: u32,
    /// From the end of a head to the answer; and the longest that a client may refuse to read it.
    pub answer_within: Duration,
    /// How long requests under way may take when the server stops.
    pub drain: Duration,
    /// Bytes of request bodies in memory at once, in all. Beyond it, 503.
    pub bodies_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 2_000,
            per_address: 64,
            trusted_proxies: Vec::new(),
            handshake_within: Duration::from_secs(5),
            head_within: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            body_within: Duration::from_secs(10),
            body_grace: Duration::from_secs(2),
            body_rate: 1024,
            answer_within: Duration::from_secs(15),
            drain: Duration::from_secs(20),
            bodies_in_flight: 64 << 20,
        }
    }
}

/// A range of addresses, as `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u8,
}

/// A text that is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range of addresses such as 10.0.0.0/8")]
pub struct NotASubnet;

impl FromStr for Subnet {
    type Err = NotASubnet;

    fn from_str(text: &str) -> Result<Subnet, NotASubnet> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| NotASubnet)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| NotASubnet))?;
        if bits > all { Err(NotASubnet) } else { Ok(Subnet { address, bits }) }
    }
}

impl Subnet {
    /// Whether the address is in the range. An IPv4 address that arrives on an IPv6 socket counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Who holds how many connections of one listener. Its size is bounded by the number of connections.
#[derive(Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place in the count; given back when dropped.
pub(super) struct Seat {
    counted: Option<IpAddr>,
    addresses: Addresses,
}

impl Addresses {
    /// A place for one more connection of this peer, unless it has as many as it may.
    pub(super) fn admit(&self, peer: SocketAddr, limits: &Limits) -> Option<Seat> {
        if limits.trusted_proxies.iter().any(|proxies| proxies.holds(peer.ip())) {
            return Some(Seat { counted: None, addresses: self.clone() });
        }
        let who = household(peer.ip());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(who).or_insert(0);
        if *count >= limits.per_address {
            return None;
        }
        *count += 1;
        Some(Seat { counted: Some(who), addresses: self.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(who) = self.counted else { return };
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&who) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&who);
            }
        }
    }
}

/// An IPv6 host owns a whole /64, so counting its single addresses would count nothing.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(address.octets())),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_holds_its_addresses() {
        for (subnet, address, expected) in [
            ("10.0.0.0/8", "10.255.3.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let subnet: Subnet = subnet.parse().expect("a subnet");
            assert_eq!(subnet.holds(address.parse().expect("an address")), expected, "{subnet:?} {address}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "ten/8"] {
            assert_eq!(bad.parse::<Subnet>(), Err(NotASubnet), "{bad}");
        }
    }

    #[test]
    fn an_address_has_as_many_seats_as_it_may_and_gives_them_back() {
        let limits = Limits {
            per_address: 2,
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a subnet")],
            ..Limits::default()
        };
        let addresses = Addresses::default();
        let admit = |peer: &str| addresses.admit(peer.parse().expect("a peer"), &limits);
        let first = admit("[2001:db8::1]:1");
        let second = admit("[2001:db8::2]:2");
        assert!(first.is_some() && second.is_some());
        assert!(admit("[2001:db8::3]:3").is_none(), "one /64 is one household");
        drop(first);
        assert!(admit("[2001:db8::3]:3").is_some());
        let proxied: Vec<_> = (1..9).map(|port| admit(&format!("192.0.2.1:{port}"))).collect();
        assert!(proxied.iter().all(Option::is_some));
    }
}
