//! What the handout tells the desk of feeds: where a notice leads.

use super::*;
use crate::case::map::Mapped;
use crate::report::log::Log;

/// Groups of one name in two regions are two services'; what cannot be told apart leads nowhere.
#[test]
fn a_notice_of_codedeploys_leads_to_the_group_of_its_own_region() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = |name: &str, region: &str| {
        format!("[providers.{name}]\nkind = \"codedeploy\"\nregion = \"{region}\"\n")
    };
    let service = |name: &str, provider: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nenvironment = \"production\"\nprovider = \"{provider}\"\n\
             target = {{ application = \"checkout\", deployment_group = \"main\" }}\n"
        )
    };
    let head = "mode = \"shadow\"\nrules = \"rules.toml\"\n[store]\nurl = \"sqlite:s.db\"\n\
         [feeds.deploys]\nkind = \"codedeploy\"\nbearer_token = { env = \"T\" }\n";
    let text = [
        head.to_owned(),
        provider("eu", "eu-west-1"),
        provider("us", "us-east-1"),
        provider("one", "ap-south-1"),
        provider("other", "ap-south-1"),
        service("europe", "eu"),
        service("america", "us"),
        service("first", "one"),
        service("second", "other"),
    ]
    .concat();
    std::fs::write(folder.path().join("rules.toml"), "").expect("the rules");
    let path = folder.path().join("snapback.toml");
    std::fs::write(&path, text).expect("the configuration");
    let loaded = config::load_with(&path, &|_| Some("secret".into()));
    let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.faults));
    let desk = Handout::new(settings, Voice::log(Log::structured())).desk();
    let scope = &desk.sources[&SourceName::feed("deploys")];
    for (region, leads_to) in [
        ("eu-west-1", Some("europe@production")),
        ("us-east-1", Some("america@production")),
        ("ap-south-1", None),
        ("sa-east-1", None),
    ] {
        let labels =
            [("deployment_group", "checkout/main".to_owned()), ("place", format!("{region}/checkout/main"))];
        let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
        let found = match desk.atlas.map(&labels, &["*@production".to_owned()], &scope.table) {
            Mapped::To(service) => Some(service.to_string()),
            Mapped::OutOfScope(_) | Mapped::Unmapped(_) => None,
        };
        assert_eq!(found.as_deref(), leads_to, "{region}");
    }
}
