use proptest::prelude::*;

use super::*;

/// Of MariaDB 10.11, with a view, a trigger, a function and odd names and texts.
const REAL: &str = include_str!("../../../../tests/fixtures/dumps/mariadb-10.11.sql");

fn read(bytes: &[u8], piece: usize) -> Result<Dumped, Broken> {
    let mut script = Script::default();
    bytes.chunks(piece).for_each(|piece| script.read(piece));
    script.end()
}

fn rows(dumped: &Dumped) -> Vec<(&str, u64)> {
    dumped.rows.iter().map(|(table, rows)| (table.as_str(), *rows)).collect()
}

#[test]
fn a_dump_of_mariadb_is_read_with_its_view_its_trigger_and_its_function() {
    for piece in [1, 2, 3, 7, 100_000] {
        let dumped = read(REAL.as_bytes(), piece).unwrap();
        let tables: Vec<&str> = dumped.tables.iter().map(String::as_str).collect();
        assert_eq!(tables, ["alembic_version", "odd `na'me", "user"], "{piece}");
        assert_eq!(rows(&dumped), [("alembic_version", 1), ("user", 2)], "{piece}");
        assert_eq!(dumped.revision, "5b7503aada1b", "{piece}");
    }
}

/// As MySQL 5.7 and 8.0 write: all rows on one line, binary texts marked, the
/// columns named where one is generated.
#[test]
fn a_dump_of_mysql_is_read() {
    let dump = "-- MySQL dump 10.13  Distrib 5.7.44, for Linux (x86_64)\n--\n-- Host's: it\n\n\
        /*!40101 SET NAMES utf8 */;\n/*!50503 SET character_set_client = utf8mb4 */;\n\
        CREATE TABLE `user` (\n  `id` int(11) NOT NULL COMMENT 'a;b'\n) ENGINE=InnoDB;\n\
        LOCK TABLES `user` WRITE;\n\
        INSERT INTO `user` VALUES (1,_binary 'a\\'),(\\\\',-1.5e-3),(2,0x00,NULL);\n\
        INSERT INTO `user` (`id`, `na)me`) VALUES (3,'--');\nUNLOCK TABLES;\n\
        /*!50001 CREATE VIEW `v` AS SELECT 1 AS `INSERT INTO`*/;\n\
        DELIMITER ;;\n/*!50003 CREATE PROCEDURE `p`()\nBEGIN\n  INSERT INTO `user` VALUES (9);\n\
        INSERT INTO `user` VALUES (9);\nEND */;;\nDELIMITER ;\n-- Dump completed on 2019-06-01\n";
    for piece in [1, 5, 10_000] {
        let dumped = read(dump.as_bytes(), piece).unwrap();
        assert_eq!(rows(&dumped), [("user", 3)], "{piece}");
        assert_eq!(dumped.tables.len(), 1, "{piece}");
    }
}

#[test]
fn what_is_no_whole_dump_is_refused() {
    let end = "\n-- Dump completed on 2026-01-01\n";
    let whole = |text: &str| read(format!("{text}{end}").as_bytes(), 9).map(drop);
    let of_user = Err(Broken::Rows { table: "user".to_owned() });
    assert_eq!(whole("INSERT INTO `user` VALUES (1);"), Ok(()));
    assert_eq!(whole("INSERT INTO `user` VALUES (1"), Err(Broken::NoTrailer));
    assert_eq!(whole("INSERT INTO `user` VALUES ('1);"), Err(Broken::NoTrailer));
    assert_eq!(whole("/* INSERT"), Err(Broken::NoTrailer));
    assert_eq!(whole("INSERT INTO `user` VALUES (1),;"), of_user);
    assert_eq!(whole("INSERT INTO `user` VALUES (1) (2);"), of_user);
    assert_eq!(whole("INSERT INTO `user` VALUES;"), of_user);
    assert_eq!(whole("INSERT INTO `user` SELECT 1;"), of_user);
    assert_eq!(read(b"", 1), Err(Broken::NoTrailer));
    assert_eq!(read(&vec![0; 5000], 1000), Err(Broken::NoTrailer));
    let goes_on = format!("{end}INSERT INTO `user` VALUES (1);\n");
    assert_eq!(read(goes_on.as_bytes(), 9), Err(Broken::NoTrailer));
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Number(i64),
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

/// As `mysql_real_escape_string` does it.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in text {
        match byte {
            0 => out.extend(b"\\0"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            0x1a => out.extend(b"\\Z"),
            b'\'' | b'"' | b'\\' => out.extend([b'\\', *byte]),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
    out
}

fn written(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => b"NULL".to_vec(),
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Text(text) => escaped(text),
        Value::Binary(bytes) if bytes.is_empty() => b"''".to_vec(),
        Value::Binary(bytes) => {
            let hex = bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
            format!("0x{hex}").into_bytes()
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    // What could be taken for something else comes often.
    let odd = prop_oneof![
        Just(b"'".to_vec()),
        Just(b"\\".to_vec()),
        Just(b");\nINSERT INTO `user` VALUES (1".to_vec()),
        Just(b"-- Dump completed on".to_vec()),
        Just(b"*/;\nDELIMITER ;;\n`".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    let text = proptest::collection::vec(odd, 0..5).prop_map(|parts| parts.concat());
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Number),
        text.prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::Binary),
    ]
}

/// Tables by name with their rows; some count.
fn tables() -> impl Strategy<Value = Vec<(&'static str, Vec<Vec<Value>>)>> {
    let names = proptest::sample::subsequence(vec!["tag", "user", "logentry3", "o`dd", "image"], 5);
    let rows = || proptest::collection::vec(proptest::collection::vec(value(), 1..4), 0..7);
    let rows = proptest::collection::vec(rows(), 5);
    (names, rows).prop_map(|(names, rows)| names.into_iter().zip(rows).collect())
}

/// As mysqldump would, so many rows an INSERT, each on a line of its own or not.
fn dump(tables: &[(&str, Vec<Vec<Value>>)], many: usize, lines: bool) -> Vec<u8> {
    let mut out = b"-- MySQL dump 10.13\n\n/*!40101 SET NAMES utf8 */;\n".to_vec();
    let between: &[u8] = if lines { b",\n" } else { b"," };
    for (name, rows) in tables {
        let name = name.replace('`', "``");
        let make = format!(
            "--\n-- Table structure for table `{name}`\n--\n\nCREATE TABLE `{name}` (\n  `id` int COMMENT 'it''s; `'\n);\n"
        );
        out.extend(make.into_bytes());
        for some in rows.chunks(many) {
            out.extend(format!("INSERT INTO `{name}` VALUES ").into_bytes());
            let rows = some.iter().map(|row| {
                let values = row.iter().map(written).collect::<Vec<_>>().join(&b","[..]);
                [b"(", &values[..], b")"].concat()
            });
            out.extend(rows.collect::<Vec<_>>().join(between));
            out.extend(b";\n");
        }
    }
    out
}

proptest! {
    /// Whatever the rows hold, and wherever a piece of the file ends.
    #[test]
    fn every_row_is_counted_and_nothing_but_rows(
        tables in tables(), many in 1..4_usize, lines: bool, piece in 1..50_usize, cut in any::<prop::sample::Index>()
    ) {
        let body = dump(&tables, many, lines);
        let whole = [&body[..], b"\n-- Dump completed on 2026-01-01  1:02:03\n"].concat();
        let dumped = read(&whole, piece).unwrap();
        let named: BTreeSet<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
        prop_assert_eq!(&dumped.tables, &named);
        let counted: Rows = tables
            .iter()
            .filter(|(name, _)| KEY_TABLES.contains(name))
            .map(|(name, rows)| ((*name).to_owned(), rows.len() as u64))
            .collect();
        prop_assert_eq!(&dumped.rows, &counted);
        // Cut off anywhere, it is no dump.
        prop_assert!(read(&whole[..cut.index(body.len())], piece).is_err());
    }
}
