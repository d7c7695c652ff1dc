//! What pg_restore prints, read. Pure, but for the reading.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::key_tables::KEY_TABLES;
use super::manifest::Rows;

/// The rows of key tables in a dump, and the revision that it holds.
#[derive(Default, Debug)]
pub(super) struct Dumped {
    pub(super) rows: Rows,
    pub(super) revision: String,
}

/// Reads a dump as the script that restores it, to its very end.
pub(super) async fn read_script(
    script: &mut (impl AsyncBufRead + Unpin),
    schema: &str,
) -> io::Result<Dumped> {
    let mut dumped = Dumped::default();
    let mut line = Vec::new();
    // The table whose rows come now; `Some(None)` = one that is not counted.
    let mut table: Option<Option<&'static str>> = None;
    loop {
        line.clear();
        if script.read_until(b'\n', &mut line).await? == 0 {
            return Ok(dumped);
        }
        match table {
            None => {
                table = copied(&line, schema);
                if let Some(Some(name)) = table {
                    dumped.rows.entry(name.to_owned()).or_default();
                }
            }
            Some(_) if line == b"\\.\n" => table = None,
            Some(None) => {}
            Some(Some(name)) => {
                *dumped.rows.entry(name.to_owned()).or_default() += 1;
                if name == "alembic_version" {
                    dumped.revision = String::from_utf8_lossy(&line).trim().to_owned();
                }
            }
        }
    }
}

/// The table of a line such as `COPY public."user" (id, username) FROM stdin;`.
fn copied(line: &[u8], schema: &str) -> Option<Option<&'static str>> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let rest = line.strip_prefix("COPY ")?;
    if !rest.ends_with(" FROM stdin;") {
        return None;
    }
    let name = rest.split(" (").next().unwrap_or(rest).split(" FROM ").next().unwrap_or(rest);
    let bare = |name: &str| name.trim_matches('"').to_owned();
    let (of, table) = name
        .split_once('.')
        .map_or_else(|| (String::new(), bare(name)), |(of, table)| (bare(of), bare(table)));
    let is_key = of == schema || of.is_empty();
    Some(KEY_TABLES.iter().copied().find(|key| is_key && *key == table))
}

/// Of a dump's list of contents, what is restored: not what stays in the
/// database, for Quay's role owns neither its schemas nor its extensions.
pub(super) fn to_restore(list: &str) -> String {
    const STAYS: [&str; 6] = [
        "SCHEMA -",
        "EXTENSION -",
        "COMMENT - SCHEMA",
        "COMMENT - EXTENSION",
        "ACL - SCHEMA",
        "DATABASE -",
    ];
    let stays = |line: &str| {
        // `215; 1259 16391 TABLE public alembic_version quay`
        let what = line.splitn(4, ' ').nth(3).unwrap_or("");
        !line.starts_with(';') && STAYS.iter().any(|kind| what.starts_with(kind))
    };
    list.lines().filter(|line| !stays(line)).fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_counted_by_table_and_the_revision_is_read() {
        let script = "SET x = 1;\nCOPY public.alembic_version (version_num) FROM stdin;\nabc\n\\.\n\
                      COPY public.\"user\" (id, username) FROM stdin;\n1\tone\n2\tCOPY public.tag (id) FROM stdin;\n\\.\n\
                      COPY public.logentry (id) FROM stdin;\n7\n\\.\n\
                      COPY other.repository (id) FROM stdin;\n7\n\\.\n\
                      COPY public.repository (id) FROM stdin;\n\\.\n";
        let mut bytes = script.as_bytes();
        let dumped = read_script(&mut bytes, "public").await.unwrap();
        let rows: Vec<(&str, u64)> =
            dumped.rows.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
        assert_eq!(rows, [("alembic_version", 1), ("repository", 0), ("user", 2)]);
        assert_eq!(dumped.revision, "abc");
    }

    #[test]
    fn what_quays_role_does_not_own_is_not_restored() {
        let list = ";\n; Archive created\n2; 3079 16385 EXTENSION - pg_trgm \n\
                    4023; 0 0 COMMENT - EXTENSION pg_trgm \n6; 2615 2200 SCHEMA - public postgres\n\
                    4024; 0 0 ACL - SCHEMA public postgres\n\
                    215; 1259 16391 TABLE public alembic_version quay\n\
                    4017; 0 16391 TABLE DATA public alembic_version quay\n";
        assert_eq!(
            to_restore(list),
            ";\n; Archive created\n215; 1259 16391 TABLE public alembic_version quay\n\
             4017; 0 16391 TABLE DATA public alembic_version quay\n"
        );
    }
}
