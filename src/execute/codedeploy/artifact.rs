//! Whether what a rollback would put out is still there: task definitions are deregistered, images expire, versions of
//! functions are deleted. What lies in S3 or on GitHub only CodeDeploy's own agents read; nobody looks there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_ecs::types::TaskDefinitionStatus;

use super::CodeDeploy;
use super::account::code;
use super::appspec::Puts;
use crate::case::id::{Duration, ReleaseId, Timestamp};
use crate::outbound::Trouble;

/// An artifact that was there is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Answers that are remembered.
const LOOKED_MAX: usize = 1000;

/// When an artifact was looked at, and whether it was there.
pub(super) type Looked = Mutex<BTreeMap<ReleaseId, (Timestamp, Option<bool>)>>;

impl CodeDeploy {
    /// Whether what an AppSpec puts out is there, as of the last minute. `None`: nobody can look.
    pub(super) async fn exists_lately(&self, puts: &Puts) -> Result<Option<bool>, Trouble> {
        let (now, release) = (self.now(), puts.release());
        let known = self.looked.lock().unwrap_or_else(PoisonError::into_inner).get(&release).copied();
        match known {
            Some((at, exists)) if now.duration_since(at) < LOOK_AGAIN => Ok(exists),
            Some(_) | None => self.exists(puts).await,
        }
    }

    /// Whether what an AppSpec puts out is there now.
    pub(super) async fn exists(&self, puts: &Puts) -> Result<Option<bool>, Trouble> {
        let exists = match puts {
            Puts::TaskDefinition(name) => self.task_definition_exists(name).await?,
            Puts::Version { function, target, .. } => self.version_exists(function, target).await?,
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.len() >= LOOKED_MAX {
            looked.clear();
        }
        looked.insert(puts.release(), (self.now(), exists));
        Ok(exists)
    }

    async fn version_exists(&self, function: &str, version: &str) -> Result<Option<bool>, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("look for version {version} of {function}");
        let asked = clients.lambda.get_function_configuration().function_name(function).qualifier(version);
        match asked.send().await {
            Ok(_) => Ok(Some(true)),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(Some(false)),
            Err(error) => Err(self.account.sorted(&doing, error).await),
        }
    }

    async fn task_definition_exists(&self, name: &str) -> Result<Option<bool>, Trouble> {
        let clients = self.account.clients().await;
        let doing = format!("look for the task definition {name}");
        let asked = clients.ecs.describe_task_definition().task_definition(name);
        let answer = match asked.send().await {
            Ok(answer) => answer,
            // What the service says where there is none of that name.
            Err(error) if code(&error) == Some("ClientException") => return Ok(Some(false)),
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        let Some(definition) = answer.task_definition() else { return Ok(None) };
        if definition.status() != Some(&TaskDefinitionStatus::Active) {
            return Ok(Some(false));
        }
        for container in definition.container_definitions() {
            let Some(image) = container.image().and_then(Image::in_ecr) else { continue };
            if self.image_exists(&image).await? == Some(false) {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    /// Whether an image is in its registry. Without the right to look, in another region and in registries of others, nobody
    /// knows.
    async fn image_exists(&self, image: &Image<'_>) -> Result<Option<bool>, Trouble> {
        if image.region != self.settings.region {
            return Ok(None);
        }
        let clients = self.account.clients().await;
        let doing = format!("look for the image {}", image.repository);
        let mut id = ImageIdentifier::builder();
        id = match image.named {
            Named::Digest(digest) => id.image_digest(digest),
            Named::Tag(tag) => id.image_tag(tag),
        };
        let asked = clients
            .ecr
            .describe_images()
            .registry_id(image.registry)
            .repository_name(image.repository)
            .image_ids(id.build());
        match asked.send().await {
            Ok(_) => Ok(Some(true)),
            Err(error) => match code(&error) {
                Some("ImageNotFoundException") => Ok(Some(false)),
                // Another account's repository is "not found" to whoever may not see it.
                Some("AccessDeniedException" | "RepositoryNotFoundException") => Ok(None),
                _ => Err(self.account.sorted(&doing, error).await),
            },
        }
    }
}

/// An image in ECR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image<'a> {
    registry: &'a str,
    region: &'a str,
    repository: &'a str,
    named: Named<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named<'a> {
    Digest(&'a str),
    Tag(&'a str),
}

impl Image<'_> {
    /// `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY` with `@DIGEST` or `:TAG`; `None` for other registries.
    fn in_ecr(image: &str) -> Option<Image<'_>> {
        let (host, path) = image.split_once('/')?;
        let (registry, rest) = host.split_once(".dkr.ecr.")?;
        let (region, domain) = rest.split_once('.')?;
        if !domain.starts_with("amazonaws.com") || !registry.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (repository, named) = match path.split_once('@') {
            Some((repository, digest)) => (repository, Named::Digest(digest)),
            None => match path.rsplit_once(':') {
                Some((repository, tag)) => (repository, Named::Tag(tag)),
                None => (path, Named::Tag("latest")),
            },
        };
        Some(Image { registry, region, repository, named })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_ecr_are_told_apart_from_others() {
        let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        let of = |image: &str| {
            Image::in_ecr(image).map(|image| (image.repository.to_owned(), format!("{:?}", image.named)))
        };
        assert_eq!(of(&format!("{host}/shop/web:42")), Some(("shop/web".into(), "Tag(\"42\")".into())));
        assert_eq!(
            of(&format!("{host}/web@sha256:ab")),
            Some(("web".into(), "Digest(\"sha256:ab\")".into()))
        );
        assert_eq!(of(&format!("{host}/web")), Some(("web".into(), "Tag(\"latest\")".into())));
        for other in ["nginx:1.27", "ghcr.io/acme/web:1", "x.dkr.ecr.eu-west-1.amazonaws.com/web:1"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
