//! What a window would stand on beside what every survey tells.

use futures::future::{join, join_all};
use quaymaster_proto::footing::{ConfigFooting, ContainerFooting, Footing, HostFooting};
use serde_json::Value;

use super::upgrades;
use crate::backup::storage;
use crate::container::ContainerSpec;
use crate::engine::{Engine, FullContainer};
use crate::node::{Node, QuayView};
use crate::quay::database;
use crate::reserve::{self, Reserve};

/// Quay's own TLS key, beside its config.yaml (quay-facts 1.2).
const TLS_KEY: &str = "ssl.key";

impl<E: Engine> Node<E> {
    /// `None` where config.yaml cannot be read, which is told elsewhere.
    pub(crate) async fn footing(&self, found: &FullContainer) -> Option<Footing> {
        let view = self.quay_view(None).await.ok()?;
        let application = database::application(&self.config.cluster, &self.config.node);
        let servers = view.settings.redis_servers();
        let asks = &self.surroundings.database;
        let (database, redis_versions) = join(
            asks.footing(&view.settings, &view.mounts, &application),
            join_all(servers.iter().map(|server| asks.redis_version(server))),
        )
        .await;
        Some(Footing {
            config: self.config_footing(&view),
            container: ContainerFooting {
                image_bytes: found.image.bytes,
                ..container_footing(&found.spec)
            },
            host: HostFooting {
                has_reserve: reserve::look(&self.config.state) != Reserve::NoRoom,
                live_restore: self.engine.live_restore().await,
                self_upgrading: upgrades::of_this_host(),
            },
            // A database that does not answer is told elsewhere.
            database: database.unwrap_or_default(),
            redis_versions: redis_versions.into_iter().flatten().collect(),
            storage: storage::look(self.config.backup.as_ref(), &view.settings, &view.mounts).await,
        })
    }

    fn config_footing(&self, view: &QuayView) -> ConfigFooting {
        let directory = self.config.quay_config.parent();
        let tls_key = directory.is_some_and(|directory| directory.join(TLS_KEY).exists());
        view.settings.footing(tls_key)
    }
}

/// By the engine's own names.
fn container_footing(spec: &ContainerSpec) -> ContainerFooting {
    let sysctls = spec.options.get("Sysctls");
    let somaxconn = sysctls.and_then(|sysctls| sysctls.get("net.core.somaxconn"));
    ContainerFooting {
        privileged: spec.options.get("Privileged") == Some(&Value::Bool(true)),
        somaxconn: somaxconn.and_then(Value::as_str).and_then(|text| text.trim().parse().ok()),
        image_bytes: None,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::fake::{image_id, spec};
    use crate::looks::rig::node;

    #[tokio::test]
    async fn a_node_says_what_a_window_would_stand_on() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(
            directory.path().join("config.yaml"),
            "SETUP_COMPLETE: true\nPREFERRED_URL_SCHEME: https\nTESTING: true\n",
        )
        .unwrap();
        let mut quay = spec(image_id(1), &[]);
        node.engine.run(1, "quay", quay.clone());
        let found = node.engine_container("quay").await;
        let plain = node.footing(&found).await.unwrap();
        assert_eq!((plain.config.testing, plain.config.https), (Some(true), true));
        assert!(!plain.config.tls_key && !plain.container.privileged, "{plain:?}");
        assert_eq!(plain.container.somaxconn, None);

        std::fs::write(directory.path().join("ssl.key"), "").unwrap();
        quay.options = [
            ("Privileged".to_owned(), json!(true)),
            ("Sysctls".to_owned(), json!({ "net.core.somaxconn": "4096" })),
        ]
        .into();
        node.engine.run(1, "quay", quay);
        let documented = node.footing(&node.engine_container("quay").await).await.unwrap();
        assert!(documented.config.tls_key && documented.container.privileged, "{documented:?}");
        assert_eq!(documented.container.somaxconn, Some(4096));
    }

    impl<E: Engine> Node<E> {
        async fn engine_container(&self, name: &str) -> FullContainer {
            self.engine.full_container(name).await.unwrap().unwrap()
        }
    }
}
