//! The database that all nodes share, with what a 2.9.5 registry holds.

use super::super::lab_file::{DatabaseKind, EngineKind, LabProcess, Role};
use super::super::network;
use super::{Builder, Why};
use crate::cluster::texts::ROBOT;
use crate::{mariadb, postgres, quay};

/// As the containers see the SQLite file: `shared/` is bound at `/var/quay-db`.
const SQLITE_URI: &str = "sqlite:////var/quay-db/quay.db";

impl Builder<'_> {
    pub(super) async fn make_database(&mut self) -> Result<(), Why> {
        let tags = self.options.tags;
        let (uri, own_uri) = match self.options.database {
            DatabaseKind::Sqlite => {
                let path = self.layout.database_file();
                (SQLITE_URI.to_owned(), format!("sqlite:///{}", path.display()))
            }
            DatabaseKind::Postgres => self.start_postgres().await?,
            DatabaseKind::Mariadb => self.start_mariadb().await?,
        };
        (self.say)(&format!("filling the database: {tags} tags, none backfilled"));
        quay::seed(&own_uri, tags)
            .await
            .map_err(|source| Why::Seed { source: Box::new(source) })?;
        quay::add_robot(&own_uri, ROBOT, &self.secrets.robot_password, "push,pull")
            .await
            .map_err(|source| Why::Robot { source: Box::new(source) })?;
        self.file.database_uri = uri;
        self.save()
    }

    /// As Quay and the agents reach it, and as the lab does.
    async fn start_postgres(&mut self) -> Result<(String, String), Why> {
        (self.say)("making a PostgreSQL server");
        let gateway = self.file.network.as_ref();
        let dir = self.layout.postgres();
        let server = postgres::Server {
            dir: &dir,
            port: self.free_port()?,
            further: gateway.map(|network| (network.gateway.as_str(), network.subnet.as_str())),
            superuser_password: &self.secrets.superuser_password,
            quay_password: &self.secrets.quay_password,
        };
        let id = server.start(&self.options.binaries.lab)?;
        self.file.processes.push(LabProcess { role: Role::Postgres, node: None, id });
        self.file.write(&self.layout.lab_file())?;
        server.prepare(id).await?;
        Ok((server.quay_uri(self.database_host()), server.quay_uri("127.0.0.1")))
    }

    /// The same for MariaDB.
    async fn start_mariadb(&mut self) -> Result<(String, String), Why> {
        (self.say)("making a MariaDB server");
        let dir = self.layout.mariadb();
        let server = mariadb::Server {
            dir: &dir,
            port: self.free_port()?,
            further: self.file.network.as_ref().map(|network| network.gateway.as_str()),
            superuser_password: &self.secrets.superuser_password,
            quay_password: &self.secrets.quay_password,
        };
        let id = server.start(&self.options.binaries.lab)?;
        self.file.processes.push(LabProcess { role: Role::Mariadb, node: None, id });
        self.file.write(&self.layout.lab_file())?;
        server.prepare(id).await?;
        Ok((server.quay_uri(self.database_host()), server.quay_uri("127.0.0.1")))
    }

    /// Free on every address on which a server listens.
    fn free_port(&self) -> Result<u16, Why> {
        let gateway = self.file.network.as_ref().map(|network| network.gateway.as_str());
        let addresses = [Some("127.0.0.1"), gateway].into_iter().flatten();
        let addresses: Vec<_> = addresses.filter_map(|address| address.parse().ok()).collect();
        Ok(network::free_port(&addresses)?)
    }

    /// As the containers reach it.
    fn database_host(&self) -> &str {
        let gateway = self.file.network.as_ref().map(|network| network.gateway.as_str());
        match self.options.engine {
            EngineKind::Standin | EngineKind::Private => "127.0.0.1",
            EngineKind::Docker => gateway.unwrap_or("127.0.0.1"),
        }
    }
}
