//! The tables whose rows are counted, in the database and in a dump of it.

/// What a registry consists of (quay-facts 3.1, 3.3), and small tables that the
/// migrations add rows to. Those that grow with every pull are not among them:
/// counting them takes as long as the outage may.
pub(super) const KEY_TABLES: &[&str] = &[
    "alembic_version",
    "accesstoken",
    "apprtag",
    "emailconfirmation",
    "image",
    "imagestorage",
    "logentrykind",
    "manifest",
    "manifestblob",
    "manifestchild",
    "notificationkind",
    "oauthaccesstoken",
    "permissionprototype",
    "repository",
    "repositorypermission",
    "repositorytag",
    "robotaccounttoken",
    "role",
    "servicekey",
    "tag",
    "tagmanifest",
    "tagmanifesttomanifest",
    "tagtorepositorytag",
    "team",
    "teammember",
    "teamrole",
    "user",
];
