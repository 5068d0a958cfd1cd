//! What a node tells the registry at its start, signed as such: the first tenant and its key, and
//! the providers of its file, the first time only. From then on the registry rules, and a file that says otherwise is named in
//! the log.

use anyhow::Result;
use fgy_cluster::{Control, NodeId, Secret};

use crate::clock::Clock;
use crate::config::{Provider, Settings};
use crate::key::InstallationKey;
use crate::random;
use crate::registry::{Command, Hand, Outcome, Registry, TenantSettings};

/// The name of the tenant that is there from the first start.
const FIRST_TENANT: &str = "default";

/// Proposes what this node says by itself.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) control: Control<Registry>,
    pub(super) me: NodeId,
    pub(super) clock: Clock,
}

impl Start {
    /// Proposes a command; a refusal ends the start.
    pub(super) async fn propose(&self, command: Command) -> Result<()> {
        let signed = Command::Signed {
            by: Hand::Start,
            node: self.me.as_str().into(),
            at: self.clock.now(),
            command: Box::new(command),
        };
        match self.control.propose(signed).await? {
            (_, Outcome::Refused(refusal)) => anyhow::bail!("{refusal}"),
            _ => Ok(()),
        }
    }

    /// The tenant that is there from the first start, and the key it was given, if it was made
    /// here: only where `makes` says that nobody else makes one.
    pub(super) async fn tenant(
        &self,
        installation: &InstallationKey,
        settings: &Settings,
        makes: bool,
    ) -> Result<Option<String>> {
        let at = self.clock.now();
        let given = settings.bootstrap_key.as_ref().map(Secret::reveal);
        let given = given.map(|key| String::from_utf8_lossy(key).into_owned());
        let is_new = self.control.state().tenants().is_empty();
        if is_new && (makes || given.is_some()) {
            let create = Command::CreateTenant {
                id: FIRST_TENANT.into(),
                name: FIRST_TENANT.into(),
                settings: TenantSettings::default(),
                at,
            };
            self.propose(create).await?;
        }
        let (key, made) = match (given, is_new && makes) {
            (Some(key), _) => (key, false),
            (None, true) => (random::tenant_key()?, true),
            (None, false) => return Ok(None),
        };
        if self.control.state().tenant(FIRST_TENANT).is_some() {
            let add = Command::AddKey {
                tenant: FIRST_TENANT.into(),
                digest: installation.key_digest(&key).into(),
                agent: None,
                at,
                once: None,
            };
            self.propose(add).await?;
        }
        Ok(made.then_some(key))
    }

    /// The file's providers, where the registry was never told of any.
    pub(super) async fn providers(&self, settings: &Settings) -> Result<()> {
        if settings.providers.is_empty() {
            return Ok(());
        }
        if self.control.look(|registry| registry.providers().is_none()) {
            let providers = settings.providers.values().cloned().collect();
            let first = true;
            self.propose(Command::ApplyProviders { providers, first })
                .await?;
        }
        let registry = self.control.state();
        for provider in settings.providers.values() {
            if let Some(how) = differs(&registry, provider) {
                tracing::warn!(
                    "providers.{}: the file says otherwise than the registry, which {how} and \
                     rules: fgy provider apply",
                    provider.name
                );
            }
        }
        Ok(())
    }
}

/// What the registry has in place of a provider of the file.
fn differs(registry: &Registry, provider: &Provider) -> Option<&'static str> {
    match registry.provider(&provider.name) {
        None => Some("has none of this name"),
        Some(held) => (held != provider).then_some("has another"),
    }
}
