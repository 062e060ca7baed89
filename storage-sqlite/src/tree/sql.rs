//! Every statement about trees. `?1` is the log in all of them.
//!
//! What must hold: each is a walk over index entries that its answer is made of; the test below asks SQLite for its plan.

/// `?2` a node.
pub(super) const NODE: &str = "SELECT id, parent, dead, body FROM node WHERE log = ?1 AND id = ?2";

/// `?2` an id.
pub(super) const ALIAS: &str = "SELECT node FROM alias WHERE log = ?1 AND id = ?2";

/// `?2` a folder, `?3` when it and what is in it died, 0 for what lives, `?4` a folded name.
pub(super) const CHILD: &str = "SELECT id FROM node INDEXED BY node_by_name
    WHERE log = ?1 AND parent = ?2 AND dead = ?3 AND name = ?4 ORDER BY id LIMIT 1";

/// How many live nodes changed after `?2`, up to `?3`.
pub(super) const CHANGED_COUNT: &str = "SELECT count(*) FROM (
    SELECT 1 FROM node INDEXED BY node_by_change WHERE log = ?1 AND dead = 0 AND changed > ?2 LIMIT ?3)";

/// How many live nodes are below `?2`, up to `?3`.
pub(super) const BELOW_COUNT: &str = "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND parent = ?2 AND dead = 0
        UNION ALL
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id AND node.dead = 0
        LIMIT ?3)
    SELECT count(*) FROM below";

/// The live nodes that changed after `?2` and are below `?3`: each is walked up from.
pub(super) const CHANGED_UP: &str = "SELECT id, parent, dead, body FROM node AS changed INDEXED BY node_by_change
    WHERE log = ?1 AND dead = 0 AND changed > ?2 AND EXISTS (
        WITH RECURSIVE up (id) AS (
            SELECT changed.parent
            UNION
            SELECT node.parent FROM up CROSS JOIN node ON node.log = ?1 AND node.id = up.id)
        SELECT 1 FROM up WHERE up.id = ?3)";

/// The same, from `?3` down.
pub(super) const CHANGED_DOWN: &str = "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND parent = ?3 AND dead = 0
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id AND node.dead = 0)
    SELECT node.id, node.parent, node.dead, node.body
    FROM below CROSS JOIN node ON node.log = ?1 AND node.id = below.id WHERE node.changed > ?2";

/// Levels below `?2`, or more than `?3`: over the folders alone, and whether the deepest have something in them.
pub(super) const HEIGHT: &str = "WITH RECURSIVE inside (id, level) AS (
        SELECT ?2, 0
        UNION ALL
        SELECT node.id, level + 1 FROM inside CROSS JOIN node INDEXED BY node_folder
            ON node.log = ?1 AND node.parent = inside.id AND node.folder = 1 WHERE level < ?3)
    SELECT max(level + EXISTS (SELECT 1 FROM node WHERE log = ?1 AND parent = inside.id)) FROM inside";

/// Behind `?2`, `?3` of them.
pub(super) const ALL: &str = "SELECT id, parent, dead, body FROM node WHERE log = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// In `?2`, behind the folded name `?3`, `?4` of them. No folded name is empty.
pub(super) const CHILDREN: &str = "SELECT id, parent, dead, body FROM node INDEXED BY node_by_name
    WHERE log = ?1 AND parent = ?2 AND dead = 0 AND name > ?3 ORDER BY name LIMIT ?4";

/// Behind `?2`, `?3` of them.
pub(super) const TRASH: &str = "SELECT id, parent, dead, body FROM node INDEXED BY node_in_trash
    WHERE log = ?1 AND trash = 1 AND id > ?2 ORDER BY id LIMIT ?3";

/// From `?2` down, `?3` of those that have nothing in them.
pub(super) const LEAVES: &str = "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2
        UNION ALL
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id)
    SELECT node.id, node.parent, node.dead, node.body FROM below CROSS JOIN node ON node.log = ?1 AND node.id = below.id
    WHERE NOT EXISTS (SELECT 1 FROM node AS child WHERE child.log = ?1 AND child.parent = below.id) LIMIT ?3";

/// Of `?2`, behind `?3`, `?4` of them.
pub(super) const REVISIONS: &str =
    "SELECT seq, body FROM revision WHERE log = ?1 AND node = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4";

/// Whether there is a tree.
pub(super) const ANY: &str = "SELECT 1 FROM node WHERE log = ?1 LIMIT 1";

/// A node as it is now, not yet in the trash.
pub(super) const PUT: &str = "INSERT INTO node (log, id, parent, name, folder, dead, trash, changed, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)
    ON CONFLICT (log, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, folder = excluded.folder,
        dead = excluded.dead, trash = 0, changed = excluded.changed, body = excluded.body";

/// All that lives from `?2` down dies as `?3`, but not from `?4` down, nor `?5` alone: lists of hexadecimal ids.
pub(super) const TOMBSTONE: &str = "WITH RECURSIVE
    whole (id) AS MATERIALIZED (SELECT unhex(value) FROM json_each(?4)),
    below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2 AND dead = 0 AND id NOT IN (SELECT id FROM whole)
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id AND node.dead = 0
        WHERE node.id NOT IN (SELECT id FROM whole))
    UPDATE node SET dead = ?3
    WHERE log = ?1 AND id IN (SELECT id FROM below) AND id NOT IN (SELECT unhex(value) FROM json_each(?5))";

/// `?2` and what died with it as `?3` below it lives.
pub(super) const REVIVE: &str = "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2 AND dead = ?3
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id AND node.dead = ?3)
    UPDATE node SET dead = 0, trash = 0 WHERE log = ?1 AND id IN (SELECT id FROM below)";

/// `?2` stands from now on for `?3`.
pub(super) const PUT_ALIAS: &str = "INSERT INTO alias (log, id, node) VALUES (?1, ?2, ?3)
    ON CONFLICT (log, id) DO UPDATE SET node = excluded.node";

/// Whether something from `?2` down lives.
pub(super) const LIVES_BELOW: &str = "WITH RECURSIVE below (id, dead) AS (
        SELECT id, dead FROM node WHERE log = ?1 AND id = ?2
        UNION
        SELECT node.id, node.dead FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id)
    SELECT 1 FROM below WHERE dead = 0 LIMIT 1";

/// Everything of `?2` and of what is below it goes; the nodes last.
pub(super) const PURGE: [&str; 3] = [
    "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id)
    DELETE FROM revision WHERE log = ?1 AND node IN (SELECT id FROM below)",
    "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id)
    DELETE FROM alias WHERE log = ?1 AND node IN (SELECT id FROM below)",
    "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id)
    DELETE FROM node WHERE log = ?1 AND id IN (SELECT id FROM below)",
];

/// Which of those that died as `?2` are roots of the trash.
pub(super) const TRASH_OF_GROUP: &str = "UPDATE node INDEXED BY node_by_death SET trash = 1 - trash
    WHERE log = ?1 AND dead = ?2 AND dead > 0 AND trash <> (
        SELECT above.dead <> node.dead FROM node AS above WHERE above.log = ?1 AND above.id = node.parent)";

/// Whether the dead node `?2` is a root of the trash.
pub(super) const TRASH_OF_NODE: &str = "UPDATE node SET trash = 1 - trash
    WHERE log = ?1 AND id = ?2 AND dead > 0 AND trash <> (
        SELECT above.dead <> node.dead FROM node AS above WHERE above.log = ?1 AND above.id = node.parent)";

/// Which dead nodes in the folder `?2`, whose own death is another than it was, are.
pub(super) const TRASH_OF_CHILDREN: &str = "UPDATE node INDEXED BY node_by_name SET trash = 1 - trash
    WHERE log = ?1 AND parent = ?2 AND dead > 0 AND trash <> (
        SELECT above.dead <> node.dead FROM node AS above WHERE above.log = ?1 AND above.id = ?2)";

/// A content that `?2` has since `?3`.
pub(super) const PUT_REVISION: &str = "INSERT INTO revision (log, node, seq, body) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (log, node, seq) DO UPDATE SET body = excluded.body";

/// Of `?2`, since `?3`.
pub(super) const FORGET_REVISION: &str = "DELETE FROM revision WHERE log = ?1 AND node = ?2 AND seq = ?3";

/// Folders above `?2`, up to `?3`.
pub(super) const DEPTH: &str = "WITH RECURSIVE up (id, level) AS (
        SELECT parent, 1 FROM node WHERE log = ?1 AND id = ?2 AND parent <> x''
        UNION ALL
        SELECT node.parent, level + 1 FROM up CROSS JOIN node ON node.log = ?1 AND node.id = up.id
        WHERE node.parent <> x'' AND level < ?3)
    SELECT coalesce(max(level), 0) FROM up";

/// What is around the node `?2`: its parent, when it died; whether that is a folder and when it died; whether a live
/// sibling has its name; whether something in it lives or died later than it.
pub(super) const AROUND: &str = "SELECT node.parent, node.dead, above.folder, above.dead,
        EXISTS (SELECT 1 FROM node AS other INDEXED BY node_by_name WHERE other.log = ?1
            AND other.parent = node.parent AND other.dead = 0 AND other.name = node.name AND other.id <> node.id),
        EXISTS (SELECT 1 FROM node AS child INDEXED BY node_by_name
            WHERE child.log = ?1 AND child.parent = node.id AND child.dead = 0),
        EXISTS (SELECT 1 FROM node AS child INDEXED BY node_by_name
            WHERE child.log = ?1 AND child.parent = node.id AND child.dead > node.dead)
    FROM node LEFT JOIN node AS above ON above.log = ?1 AND above.id = node.parent
    WHERE node.log = ?1 AND node.id = ?2";

/// Whether one of `?2`, hexadecimal ids, lives in a folder that does not.
pub(super) const KEPT_IN_DEAD: &str = "SELECT 1 FROM json_each(?2) AS kept
    CROSS JOIN node ON node.log = ?1 AND node.id = unhex(kept.value) AND node.dead = 0
    CROSS JOIN node AS above ON above.log = ?1 AND above.id = node.parent AND above.dead <> 0 LIMIT 1";

/// Whether something died after its folder, which died as `?2`.
pub(super) const DIED_LATER: &str = "SELECT 1 FROM node INDEXED BY node_by_death
    CROSS JOIN node AS above ON above.log = ?1 AND above.id = node.parent AND above.dead = ?2
    WHERE node.log = ?1 AND node.dead > ?2 AND node.dead > 0 LIMIT 1";

/// Whether two live siblings below `?2` have one name.
pub(super) const TWICE_BELOW: &str = "WITH RECURSIVE below (id) AS (
        SELECT id FROM node WHERE log = ?1 AND id = ?2 AND dead = 0
        UNION
        SELECT node.id FROM below CROSS JOIN node ON node.log = ?1 AND node.parent = below.id AND node.dead = 0)
    SELECT 1 FROM below CROSS JOIN node INDEXED BY node_by_name
        ON node.log = ?1 AND node.parent = below.id AND node.dead = 0
    GROUP BY node.parent, node.name HAVING count(*) > 1 LIMIT 1";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use rusqlite::config::DbConfig;

    use super::*;
    use crate::schema::MIGRATIONS;

    const STATEMENTS: [(&str, &str); 32] = [
        ("NODE", NODE),
        ("ALIAS", ALIAS),
        ("CHILD", CHILD),
        ("CHANGED_COUNT", CHANGED_COUNT),
        ("BELOW_COUNT", BELOW_COUNT),
        ("CHANGED_UP", CHANGED_UP),
        ("CHANGED_DOWN", CHANGED_DOWN),
        ("HEIGHT", HEIGHT),
        ("ALL", ALL),
        ("CHILDREN", CHILDREN),
        ("TRASH", TRASH),
        ("LEAVES", LEAVES),
        ("REVISIONS", REVISIONS),
        ("ANY", ANY),
        ("PUT", PUT),
        ("TOMBSTONE", TOMBSTONE),
        ("REVIVE", REVIVE),
        ("PUT_ALIAS", PUT_ALIAS),
        ("LIVES_BELOW", LIVES_BELOW),
        ("PURGE", PURGE[0]),
        ("PURGE", PURGE[1]),
        ("PURGE", PURGE[2]),
        ("TRASH_OF_GROUP", TRASH_OF_GROUP),
        ("TRASH_OF_NODE", TRASH_OF_NODE),
        ("TRASH_OF_CHILDREN", TRASH_OF_CHILDREN),
        ("PUT_REVISION", PUT_REVISION),
        ("FORGET_REVISION", FORGET_REVISION),
        ("DEPTH", DEPTH),
        ("AROUND", AROUND),
        ("KEPT_IN_DEAD", KEPT_IN_DEAD),
        ("DIED_LATER", DIED_LATER),
        ("TWICE_BELOW", TWICE_BELOW),
    ];

    /// What may be stepped over whole: what a statement has gathered itself, and lists that it was given.
    const SCANNED: [&str; 8] = ["below", "up", "inside", "whole", "json_each", "kept", "CONSTANT", "(subquery-1)"];

    fn plan(db: &Connection, sql: &str) -> Vec<String> {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<_, _>>();
        rows.unwrap()
    }

    #[test]
    fn no_statement_scans_a_table_or_a_whole_log() {
        let named: usize = include_str!("sql.rs").lines().filter(|line| line.starts_with("pub(super) const")).count();
        assert_eq!(STATEMENTS.len(), named + PURGE.len() - 1, "every statement is looked at");
        let db = Connection::open_in_memory().unwrap();
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        MIGRATIONS.iter().for_each(|sql| db.execute_batch(sql).unwrap());
        for (name, sql) in STATEMENTS {
            for step in plan(&db, sql) {
                if let Some(scanned) = step.strip_prefix("SCAN ") {
                    let table = scanned.split(' ').next().unwrap();
                    assert!(SCANNED.contains(&table), "{name}: {step}");
                }
                assert!(!step.contains("(log=?)") || name == "ANY", "{name}: {step}");
                assert!(!step.contains("AUTOMATIC"), "{name}: {step}");
                let sorts = step.contains("TEMP B-TREE") && !step.contains("GROUP BY");
                assert!(!sorts, "{name} sorts what its index has in order: {step}");
            }
        }
    }
}
