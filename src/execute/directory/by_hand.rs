//! What a person runs where Snapback is away: the switch of the link, atomic as ours is, and the restart.

use super::Site;
use crate::case::id::ReleaseId;
use crate::case::step::Act;
use crate::execute::shell;

/// The release that a person has to name.
const RELEASE: &str = "RELEASE";

pub(in crate::execute) fn by_hand(act: &Act, to: &ReleaseId) -> Result<String, String> {
    let argument = |name: &str| act.arguments.get(name).map(String::as_str).unwrap_or_default();
    match act.kind.as_str() {
        "switch" => switch(argument("root"), to.as_str()),
        "restart" => {
            let argv: Vec<String> =
                serde_json::from_str(argument("argv")).map_err(|_| "the restart cannot be read")?;
            shell(argv.iter().map(String::as_str))
        }
        other => Err(format!("a directory knows no act {other}")),
    }
}

pub(in crate::execute) fn by_hand_unplanned(site: &Site, to: Option<&ReleaseId>) -> Vec<String> {
    let root = site.root.to_string_lossy();
    let restart = site.restart.as_ref().map(|argv| shell(argv.iter().map(String::as_str)));
    std::iter::once(switch(&root, to.map_or(RELEASE, ReleaseId::as_str)))
        .chain(restart)
        .filter_map(Result::ok)
        .collect()
}

/// `mv -T` is one rename: nobody ever sees no link.
fn switch(root: &str, to: &str) -> Result<String, String> {
    let (next, current) = (format!("{root}/current.by-hand"), format!("{root}/current"));
    let link = shell(["ln", "-sfn", "--", &format!("releases/{to}"), &next])?;
    Ok(format!("{link} && {}", shell(["mv", "-T", "--", &next, &current])?))
}
