//! What a source of kind `sns` has beside the keys of all sources: the topics that it hears, and how their messages are proved.

use std::collections::BTreeSet;
use std::path::Path;

use super::fault::quoted;
use super::providers::is_loopback;
use super::read::{At, Page, Table};
use super::server::public_url;

/// No folder of certificates holds more files: AWS has some forty regions.
const CERTIFICATES_MAX: usize = 256;
/// A certificate is some 2 KiB.
const CERTIFICATE_BYTES_MAX: u64 = 16 << 10;

/// How SNS is heard.
#[derive(Clone, Debug, PartialEq)]
pub struct SnsSettings {
    /// The topics, by their exact ARNs.
    pub topics: BTreeSet<String>,
    /// Whether signatures of version 1, which are SHA-1, are refused.
    pub second_only: bool,
    /// Whether subscriptions to these topics are confirmed.
    pub confirms: bool,
    /// The certificates that count, each by the last part of its address. `None`: they are fetched from AWS.
    pub certificates: Option<Vec<(String, Vec<u8>)>>,
    /// In the place of AWS, where subscriptions are confirmed: a pretend SNS on this machine.
    pub endpoint_url: Option<String>,
}

/// Reads the keys.
pub(super) fn sns(table: &Table<'_>) -> SnsSettings {
    SnsSettings {
        topics: topics(table),
        second_only: table.whole("signature_version", 1..=2).is_some_and(|version| version.value == 2),
        confirms: table.flag("confirm_subscriptions").is_some_and(|flag| flag.value),
        certificates: table.text("certificates").map(|folder| certificates(table.page(), &folder)),
        endpoint_url: endpoint(table),
    }
}

/// `topics`: whoever has a topic of AWS's can let it send here, so that each of ours is named whole.
fn topics(table: &Table<'_>) -> BTreeSet<String> {
    const REMEDY: &str = "write topics = [\"arn:aws:sns:REGION:ACCOUNT:NAME\"]";
    let Some(named) = table.texts("topics") else {
        if !table.has("topics") {
            table.missing("topics", REMEDY);
        }
        return BTreeSet::new();
    };
    let page = table.page();
    if named.value.is_empty() {
        page.fault(named.span.clone(), "a source that hears no topic", REMEDY);
    }
    for topic in named.value.iter().filter(|topic| !is_topic(topic.value)) {
        page.fault(topic.span.clone(), format!("{} is no topic's ARN", quoted(topic.value)), REMEDY);
    }
    named.value.iter().map(|topic| topic.value.to_owned()).collect()
}

/// `arn:PARTITION:sns:REGION:ACCOUNT:NAME`, each part whole: a pattern would let others in.
fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let [arn, partition, service, region, account, name] = parts[..] else { return false };
    let of = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    arn == "arn"
        && partition.starts_with("aws")
        && of(partition, "-")
        && service == "sns"
        && of(region, "-")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && of(name, "-_")
}

/// `certificates`: the files of a folder, each called as the last part of its address is.
fn certificates(page: Page<'_>, folder: &At<&str>) -> Vec<(String, Vec<u8>)> {
    let path = page.path(folder.value);
    let is_ours = |name: &str| name.starts_with("SimpleNotificationService-") && name.ends_with(".pem");
    let read = || -> std::io::Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&path)?.take(CERTIFICATES_MAX) {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if is_ours(&name) && entry.metadata()?.len() <= CERTIFICATE_BYTES_MAX {
                found.push((name, std::fs::read(entry.path())?));
            }
        }
        found.sort();
        Ok(found)
    };
    let found = read();
    let why = match &found {
        Ok(found) if found.is_empty() => "holds no certificate of SNS's".to_owned(),
        Ok(_) => return found.unwrap_or_default(),
        Err(cause) => format!("cannot be read: {cause}"),
    };
    page.fault(
        folder.span.clone(),
        format!("{} {why}", show(&path)),
        "put SimpleNotificationService-….pem there as AWS serves it, or leave `certificates` out: then they are fetched",
    );
    Vec::new()
}

fn show(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn endpoint(table: &Table<'_>) -> Option<String> {
    let url = table.text("endpoint_url")?;
    let sound = public_url(table.page(), &url)?;
    if !is_loopback(&sound) {
        table.page().fault(
            url.span,
            "an `endpoint_url` that is not this machine: whoever answers there is asked in AWS's place",
            "leave it out",
        );
        return None;
    }
    Some(sound)
}
