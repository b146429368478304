//! A permit: the only way to a mutation. A provider's `begin` consumes one; only a committed gate makes one.

use super::id::Timestamp;
use super::step::Order;

/// Leave to send exactly one request. Not `Clone`; consumed by `begin`.
#[derive(Debug)]
pub struct Permit {
    order: Order,
    wire_deadline: Timestamp,
}

impl Permit {
    /// Made by the transaction that wrote `Intended`, after it committed; `tests/tidy.rs` holds that nobody else
    /// calls it.
    pub fn committed(order: Order, wire_deadline: Timestamp) -> Permit {
        Permit { order, wire_deadline }
    }

    /// What may be done.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Nothing may leave after this moment: the same attempt is then `NotSent`, and the gate is asked again.
    pub fn wire_deadline(&self) -> Timestamp {
        self.wire_deadline
    }
}
