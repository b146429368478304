//! The provider `helm`, with real Helms on the pretend cluster: what it reads is what Helm says, and what it does Helm has done.

mod helm_bed;
mod kube;

use helm_bed::{Bed, LONGEST, MARK, QUARANTINE, WIRE, rewrite};
use std::time::Duration as StdDuration;

use kube::{Broken, Fault, Right};
use serde_json::json;
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus, Owner};
use snapback::case::id::Mark;
use snapback::execute::Sighting;
use snapback::execute::helm::Keep;
use snapback::execute::helm::record::{Record, Status};
use snapback::outbound::Trouble;

const HELM4: &str = "SNAPBACK_TEST_HELM4";
const HELM3: &str = "SNAPBACK_TEST_HELM3";

macro_rules! bed {
    ($bed:expr) => {
        match $bed {
            Some(bed) => bed,
            None => return,
        }
    };
}

/// The whole way, by this Helm.
async fn there_and_back(variable: &str) {
    let bed = bed!(Bed::new(variable));
    let (one, two) = (bed.release(1).await, bed.release(2).await);
    let before = bed.picture().await;
    assert_eq!(before.current.as_ref(), Some(&two));
    assert_eq!(before.owner, Owner::Nobody, "Helm is no one else");
    let told: Vec<_> = before.deployments.iter().map(|of| (of.release.clone(), of.status)).collect();
    assert_eq!(told, [(one.clone(), DeploymentStatus::Finished), (two.clone(), DeploymentStatus::Finished)]);
    assert_eq!(before.releases[0].marks.schema_version, Some(4), "the chart's annotation");

    let order = bed.way_back(2, 1).await;
    assert!(order.act.says.contains("to revision 1 (shop-1.2.3 shop:1)"), "{}", order.act.says);
    assert_eq!(
        bed.provider.by_hand(&order.act, &order.to, "").expect("a line"),
        format!(
            "helm rollback web 1 --wait --namespace shop --kubeconfig {}",
            bed.helm.home.path().join("config").display()
        )
    );
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(one.clone()));
    assert_eq!(bed.image(), "shop:1");
    let history = bed.helm.history();
    assert_eq!(history.len(), 3, "{history:?}");
    assert_eq!((history[2].1.as_str(), history[2].2.as_str()), ("deployed", "Rollback to 1"));

    // Already there is done, and a second copy does nothing.
    assert_eq!(bed.begin(&order).await.expect("taken"), handle);
    assert_eq!(bed.find(&order).await.expect("found"), Sighting::Found(handle));
    assert_eq!(bed.rollbacks(), 1);
    let after = bed.picture().await;
    assert_eq!(after.current, Some(one));
    let newest = after.deployments.last().expect("one");
    assert_eq!(newest.origin, DeploymentOrigin::Ours(Mark::new(MARK)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_goes_back_by_helm_4() {
    there_and_back(HELM4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_goes_back_by_helm_3() {
    there_and_back(HELM3).await;
}

/// Our mark is on the record itself: another process of ours knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_process_knows_our_mark() {
    let mut bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    bed.end_of(&handle).await.expect("an end");
    let cluster = bed.cluster.clone();
    let noted = move || {
        let secret = cluster.object("secrets", "shop", "sh.helm.release.v1.web.v3");
        secret["metadata"]["annotations"]["snapback.dev/rollback-mark"] == MARK
    };
    for _ in 0..100 {
        if noted() {
            break;
        }
        tokio::task::yield_now().await;
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    bed.starts_again();
    let picture = bed.picture().await;
    assert_eq!(picture.deployments[2].origin, DeploymentOrigin::Ours(Mark::new(MARK)));
    // Somebody else's rollback is not ours.
    bed.helm.does(&["rollback", "web", "2"]);
    let picture = bed.picture().await;
    assert_eq!(picture.deployments[3].origin, DeploymentOrigin::Rollback, "{:#?}", picture.deployments);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_in_config_maps_are_read_and_rolled_back() {
    let bed = bed!(Bed::empty(HELM4, Keep::ConfigMaps));
    bed.helm.installs(&["image=shop:1"]);
    bed.helm.upgrades(&["image=shop:2"]);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(bed.release(1).await));
    assert_eq!(bed.image(), "shop:1");
    assert!(bed.cluster.objects("secrets", "shop").is_empty(), "nothing lies elsewhere");
}

/// A revision that failed is called `superseded` once somebody failed to roll back from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_revision_behind_superseded_is_no_target() {
    for variable in [HELM4, HELM3] {
        let bed = bed!(Bed::new(variable));
        bed.cluster.break_image("shop:3", Broken::ImagePullBackOff);
        bed.helm.fails_to_upgrade(&["image=shop:3"], "1s");
        let picture = bed.picture().await;
        assert_eq!(picture.reports.len(), 1, "{:#?}", picture.reports);
        assert!(picture.reports[0].says.starts_with("Upgrade \"web\" failed"), "{:?}", picture.reports);
        bed.cluster.fault("PATCH", "deployments/web", Fault::Say(403, "Forbidden", "no"));
        bed.helm.fails(&["rollback", "web", "1"]);
        bed.helm.does(&["rollback", "web", "1"]);
        let words: Vec<String> = bed.helm.history().into_iter().map(|row| row.1).collect();
        assert_eq!(words[2..], ["superseded", "failed", "deployed"], "{variable}");
        assert_eq!(bed.picture().await.deployments[2].status, DeploymentStatus::Failed, "{variable}");
        let refused = bed.propose(1, 3).await.expect_err("no way");
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("went out whole")), "{refused}");
    }
}

/// Somebody's Helm died in the middle. As long as it might live nothing is done; then it is taken over, and it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stale_operation_is_taken_over_when_it_is_proved() {
    let bed = bed!(Bed::new(HELM4));
    bed.cluster.break_image("shop:3", Broken::ImagePullBackOff);
    let applied = bed.cluster.hear("PATCH", "deployments/web");
    let mut upgrade = bed.helm.begins_to_upgrade(&["image=shop:3"]);
    applied.recv_timeout(std::time::Duration::from_secs(60)).expect("the upgrade to be applied");
    upgrade.kill().expect("killed");
    upgrade.wait().expect("over");
    let (from, to) = (bed.release(3).await, bed.release(1).await);
    assert_eq!(bed.picture().await.deployments[2].status, DeploymentStatus::GoingOut);
    let early = bed.provider.propose(&bed.target(), &from, &to).await.expect_err("not yet");
    assert!(matches!(&early, Trouble::Busy { why, .. } if why.contains("pending-upgrade")), "{early}");
    bed.pass(LONGEST + 1);
    let picture = bed.picture().await;
    assert_eq!(picture.deployments[2].status, DeploymentStatus::Failed);
    assert!(picture.reports[0].says.contains("nobody finishes it"), "{:?}", picture.reports);
    let order = bed.way_back(3, 1).await;
    assert!(order.act.says.contains("takes over revision 3, pending-upgrade"), "{}", order.act.says);
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(to));
    assert_eq!((bed.image().as_str(), bed.rollbacks()), ("shop:1", 1));
}

/// We and our Helm died in the middle: it is found, and begun again only when nobody can be at it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn our_own_that_was_ended_in_the_middle_is_taken_over() {
    let mut bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    bed.helm.does(&["rollback", "web", "1"]);
    rewrite(&bed.cluster, 3, |record| record["info"]["status"] = "pending-rollback".into());
    bed.starts_again();
    let Sighting::Found(handle) = bed.find(&order).await.expect("a sight") else { panic!("it was taken") };
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(_))));
    bed.pass(LONGEST.max(WIRE + QUARANTINE) + 1);
    let stuck = bed.provider.watch(&handle).await.expect("a sight");
    assert!(matches!(&stuck, Progress::NeedsHuman { why, .. } if why.contains("look again")), "{stuck:?}");
    assert_eq!(bed.find(&order).await.expect("a sight"), Sighting::Absent);
    let again = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&again).await.expect("an end"), Progress::Serving(order.to.clone()));
    assert_eq!(bed.helm.history()[3].1, "deployed", "{:?}", bed.helm.history());
    // Another process that follows it knows that it is ours, whatever its number.
    bed.cluster.fault("PATCH", "secrets", Fault::Refuse(500));
    bed.starts_again();
    assert!(matches!(bed.provider.watch(&again).await, Ok(Progress::Serving(_))));
    let newest = bed.picture().await.deployments.pop().expect("one");
    assert_eq!(newest.origin, DeploymentOrigin::Ours(Mark::new(MARK)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_not_begun_is_absent_only_when_no_copy_can_come() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    assert!(matches!(bed.find(&order).await, Ok(Sighting::TooEarly(_))));
    bed.pass(WIRE + QUARANTINE + 1);
    assert_eq!(bed.find(&order).await.expect("a sight"), Sighting::Absent);
    assert_eq!(bed.rollbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_deploys_first_comes_first() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    bed.helm.upgrades(&["image=shop:4"]);
    for trouble in [bed.begin(&order).await.expect_err("moved"), bed.find(&order).await.expect_err("moved")] {
        assert!(matches!(&trouble, Trouble::Moved(what) if what.contains("shop:4")), "{trouble}");
    }
    assert_eq!((bed.image().as_str(), bed.rollbacks()), ("shop:4", 0));
}

/// Nothing of it is there any more: the case is planned again, and is not looked for without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_that_is_gone_is_something_else() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    bed.helm.does(&["uninstall", "web"]);
    for trouble in [bed.begin(&order).await.expect_err("moved"), bed.find(&order).await.expect_err("moved")] {
        assert!(matches!(&trouble, Trouble::Moved(_)), "{trouble}");
    }
}

/// Configuration alone is a release too: the image stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_alone_make_a_release() {
    let bed = bed!(Bed::new(HELM4));
    bed.helm.upgrades(&["image=shop:2", "level=debug"]);
    let picture = bed.picture().await;
    let (before, now) = (&picture.deployments[1].release, &picture.deployments[2].release);
    assert_ne!(before, now);
    let proposal = bed.provider.propose(&bed.target(), now, before).await.expect("a way back");
    let order = bed.order(proposal.acts[0].clone(), now.clone(), before.clone());
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(before.clone()));
    assert_eq!(bed.cluster.object("configmaps", "shop", "web")["data"]["level"], "info");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_target_that_never_becomes_ready_fails_in_helms_words() {
    let bed = bed!(Bed::new(HELM4));
    bed.cluster.break_image("shop:1", Broken::ImagePullBackOff);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let ended = bed.end_of(&handle).await;
    let Ok(Progress::Failed(why)) = ended else {
        panic!("it did not fail: {ended:?}, {:?}", bed.helm.history())
    };
    assert!(why.contains("\"web\" failed: "), "{why}");
    let shown = bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence");
    let text: String = shown.iter().map(|one| format!("{}\n{}\n", one.name, one.text)).collect();
    assert!(text.contains("history of Helm release shop/web") && text.contains("ImagePullBackOff"), "{text}");
}

/// What was read before Helm ended shows it at work, however late the answer comes: that is no proof that it was ended in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reading_older_than_helms_end_proves_nothing() {
    let bed = bed!(Bed::new(HELM4));
    bed.cluster.break_image("shop:1", Broken::ImagePullBackOff);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    let read = bed.cluster.hear("GET", "secrets");
    bed.cluster.fault("GET", "secrets", Fault::Late);
    let meanwhile = async {
        let read = tokio::task::spawn_blocking(move || read.recv_timeout(StdDuration::from_secs(8)));
        read.await.expect("it waits").expect("the records were read");
        bed.kills_helm();
        // Whoever reads from now on sees what became of it.
        let stuck = bed.end_of(&handle).await.expect("an end");
        bed.cluster.lets_go();
        stuck
    };
    let (late, stuck) = tokio::join!(bed.provider.watch(&handle), meanwhile);
    assert!(
        matches!(&stuck, Progress::NeedsHuman { why, .. } if why.contains("ended in the middle")),
        "{stuck:?}"
    );
    assert!(matches!(&late, Ok(Progress::Running(_))), "{late:?}");
}

/// Its hooks are those of the revision that it leads to, and people are told that they run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hooks_of_the_target_run_and_are_told() {
    let bed = bed!(Bed::empty(HELM4, Keep::Secrets));
    bed.helm.installs(&["image=shop:1", "hook=true"]);
    bed.helm.upgrades(&["image=shop:2"]);
    let order = bed.way_back(2, 1).await;
    assert!(order.act.says.ends_with("runs a hook of that revision"), "{}", order.act.says);
    let handle = bed.begin(&order).await.expect("taken");
    bed.end_of(&handle).await.expect("an end");
    assert_eq!(bed.cluster.object("configmaps", "shop", "before-rollback")["data"]["of"], "shop:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_target_that_is_pruned_is_no_way() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    bed.cluster.remove("secrets", "shop", "sh.helm.release.v1.web.v1");
    let refused = bed.begin(&order).await.expect_err("gone");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("--history-max")), "{refused}");
    assert_eq!(bed.rollbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_flux_owns_is_left_to_flux() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    let mut object = bed.cluster.object("deployments", "shop", "web");
    object["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] = "web".into();
    object["metadata"]["labels"]["helm.toolkit.fluxcd.io/namespace"] = "flux".into();
    object["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    bed.cluster.apply(object);
    assert_eq!(bed.picture().await.owner, Owner::Other("Flux HelmRelease flux/web".into()));
    let refused = bed.begin(&order).await.expect_err("owned");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("Flux HelmRelease")), "{refused}");
    assert_eq!(bed.rollbacks(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_missing_is_named() {
    let bed = bed!(Bed::new(HELM4));
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    let config = bed.helm.home.path().join("config");
    let broken = bed.provider_by("/nowhere/helm", &config);
    let found = broken.check(&bed.target()).await;
    assert!(found.len() == 1 && found[0].says.contains("start /nowhere/helm"), "{found:?}");
    let all = |verbs| Right { group: "", resources: "secrets", verbs, namespace: None };
    let asks = Right {
        group: "authorization.k8s.io",
        resources: "selfsubjectaccessreviews",
        verbs: "create",
        namespace: None,
    };
    let token = bed.cluster.token("reader", &[all("get list"), asks]);
    let narrow = bed.helm.home.path().join("narrow");
    std::fs::write(&narrow, bed.cluster.kubeconfig_in(&token, "shop")).expect("written");
    let reader = bed.provider_by(bed.helm.program.to_str().expect("text"), &narrow);
    let found = reader.check(&bed.target()).await;
    assert!(
        found.len() == 1
            && found[0].says == "may not watch, create, update, patch, delete secrets in namespace shop",
        "{found:?}"
    );
    bed.helm.does(&["uninstall", "web"]);
    let found = bed.provider.check(&bed.target()).await;
    assert!(found.len() == 1 && found[0].says.contains("there is no Helm release shop/web"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_of_its_records_is_heard() {
    let bed = bed!(Bed::new(HELM4));
    let target = bed.target();
    bed.provider.changed(&target).await.expect("what is there is told first");
    let begun = bed.cluster.hear("GET", "watch=1");
    let (heard, ()) = tokio::join!(bed.provider.changed(&target), async {
        let begun =
            tokio::task::spawn_blocking(move || begun.recv_timeout(std::time::Duration::from_secs(30)));
        begun.await.expect("joined").ok();
        let upgraded = bed.helm.command(&["rollback", "web", "1"]).output();
        assert!(upgraded.expect("it starts").status.success());
    });
    heard.expect("heard");
}

/// A record that holds anything at all is told as unreadable, and stops nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_is_none_leaves_the_history_unread() {
    let bed = bed!(Bed::new(HELM4));
    let mut secret = bed.cluster.object("secrets", "shop", "sh.helm.release.v1.web.v2");
    secret["data"]["release"] = json!("bm9uZQ==");
    secret["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
    bed.cluster.apply(secret);
    let unclear = bed.describe().await.expect_err("unread");
    assert!(unclear.to_string().contains("sh.helm.release.v1.web.v2"), "{unclear}");
}

/// Helm cannot come through: nothing was written, and the gate is asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_helm_that_wrote_nothing_did_nothing() {
    let bed = bed!(Bed::new(HELM4));
    let order = bed.way_back(2, 1).await;
    bed.cluster.fault("POST", "secrets", Fault::Say(403, "Forbidden", "secrets is forbidden"));
    let refused = bed.begin(&order).await.expect_err("refused");
    assert!(matches!(&refused, Trouble::Refused(why) if why.contains("forbidden")), "{refused}");
    assert_eq!((bed.image().as_str(), bed.rollbacks()), ("shop:2", 0));
}

/// Records as Helms wrote them, kept: a release's name must not change under the ledger that remembers it.
#[test]
fn records_of_both_helms_are_read_and_keep_their_names() {
    for (name, release) in
        [("helm-4.1.4", "helm:fa0cc5e7827e4238d5a385c8"), ("helm-3.8.1", "helm:fa0cc5e7827e4238d5a385c8")]
    {
        let path = format!("{}/fixtures/helm/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let record = Record::unpack(&std::fs::read(path).expect("a record")).expect("a record");
        assert_eq!((record.name.as_str(), record.version, record.status()), ("web", 1, Status::Deployed));
        assert_eq!(record.release_id().as_str(), release, "{name}");
        assert_eq!((record.objects().len(), record.hooks_of_rollback()), (2, 1), "{name}");
    }
}

/// With the rights of the file, and no others, everything goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_role_in_the_file_rolls_a_release_back() {
    let bed = bed!(Bed::new(HELM4));
    let path = format!("{}/deploy/helm-role.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the file");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let joined = |rule: &serde_json::Value, of: &str| -> &'static str {
        let words: Vec<&str> =
            rule[of].as_array().expect("a list").iter().filter_map(|word| word.as_str()).collect();
        words.join(" ").leak()
    };
    let rules = documents[0]["rules"].as_array().expect("rules").iter();
    let mut rights: Vec<Right> = rules
        .map(|rule| Right {
            group: joined(rule, "apiGroups"),
            resources: joined(rule, "resources"),
            verbs: joined(rule, "verbs"),
            namespace: Some("shop"),
        })
        .collect();
    // What everybody may.
    rights.push(Right {
        group: "authorization.k8s.io",
        resources: "selfsubjectaccessreviews",
        verbs: "create",
        namespace: None,
    });
    let token = bed.cluster.token("snapback", &rights);
    let config = bed.helm.home.path().join("of-the-role");
    std::fs::write(&config, bed.cluster.kubeconfig_in(&token, "shop")).expect("written");
    let mut bed = bed;
    bed.provider = bed.provider_by(bed.helm.program.to_str().expect("text"), &config);
    assert_eq!(bed.provider.check(&bed.target()).await, []);
    let order = bed.way_back(2, 1).await;
    let handle = bed.begin(&order).await.expect("taken");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving(order.to));
}
