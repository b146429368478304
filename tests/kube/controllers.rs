//! The order in which the controllers work: after every write until nothing changes, and once more when the clock moves, when
//! what waited in pods has come up.

use std::time::Duration;

use super::store::{Key, State};
use super::{deployments, flagger, pods, rollouts, sets, write};

/// Lets the controllers work until nothing changes.
pub(crate) fn settle(state: &mut State) {
    for _ in 0..200 {
        let before = state.version;
        write::collect_garbage(state);
        deployments::work(state);
        rollouts::work(state);
        pods::replica_sets(state);
        sets::stateful(state);
        sets::daemon(state);
        if state.version == before {
            return;
        }
    }
    panic!("the controllers do not come to rest");
}

/// Moves the clock, brings pods on by one step, and lets the controllers work.
pub(crate) fn tick(state: &mut State, by: Duration, go_back: &[Key]) {
    state.now += by;
    pods::live(state);
    settle(state);
    flagger::turn(state, go_back);
    settle(state);
}
