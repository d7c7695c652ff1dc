//! What an operator sees, in a real terminal: a whole window at 80 and at 160
//! columns, the watch beside it, and a terminal that is left as it was found.

use std::fs::OpenOptions;
use std::io::Write as _;

use insta::assert_snapshot;
use quaymaster_suite::pane::PaneSize;
use quaymaster_suite::{Pane, Planned, Shape, TestLab, redact};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const NARROW: PaneSize = (80, 40);
const WIDE: PaneSize = (160, 44);

/// A lab whose nodes take long enough to be looked at.
async fn lab() -> TestLab {
    let mut shape = Shape::of(3);
    shape.pace.start_seconds = 2.0;
    shape.pace.revision_seconds = 0.2;
    TestLab::up(shape).await
}

/// The first 12 digits of a plan's digest, as an operator would type them.
fn short(plan: &Planned) -> &str {
    &plan.digest[..12]
}

#[tokio::test]
async fn a_whole_window_at_80_columns() {
    whole_window("terminal-80", NARROW).await;
}

#[tokio::test]
async fn a_whole_window_at_160_columns() {
    whole_window("terminal-160", WIDE).await;
}

async fn whole_window(name: &str, size: PaneSize) {
    let lab = lab().await;
    let plan = lab.plan(Some("synchronous")).await;
    let watch = Pane::open(&lab, (size.0, 30), &[("IN", "watch")]).await;
    watch.keys(&["quaymaster status --watch --interval 500ms", "Enter"]);
    let quiet = watch.wait_for("every node", |screen| screen.contains("3 of 3 healthy")).await;

    let pane = Pane::open(&lab, size, &[]).await;
    pane.keys(&[&format!("quaymaster apply {}", short(&plan)), "Enter"]);
    pane.wait_for("the question", |screen| screen.contains("Type the cluster")).await;
    pane.keys(&["lab", "Enter"]);
    let is_migrating = |screen: &str| screen.contains("of 19 revisions") && pane.is_drawn();
    let migrating = pane.wait_for("the migration", is_migrating).await;
    let watched = watch
        .wait_for("the run", |screen| {
            screen.contains("first-node gate") && screen.contains("is DOWN")
        })
        .await;
    // Typed at a picture: neither shown nor read by what follows.
    pane.keys(&["x", "Enter", "Enter"]);
    let rest = pane
        .wait_for("the rest", |screen| {
            screen.contains("serving on quay-1 alone") && screen.contains("comes up")
        })
        .await;
    pane.wait_for_prompt().await;
    let end = pane.scrolled();
    assert!(pane.is_restored());
    assert_eq!(pane.exit_code().await, 0);
    let after = watch
        .wait_for("the new release", |screen| {
            screen.contains("3 of 3 healthy")
                && screen.contains("on 3.0.5 in complete")
                && screen.contains("none unfinished")
        })
        .await;
    let tail = end.split_once("Type the cluster").unwrap().1.split_once('\n').unwrap().1;
    for screen in [&migrating, &rest, &quiet, &watched, &after] {
        fits(&lab, screen, size);
    }
    fits(&lab, tail, size);
    pictures(&lab).bind(|| {
        assert_snapshot!(format!("{name}-migrating"), unwrapped(&migrating));
        assert_snapshot!(format!("{name}-end"), unwrapped(tail));
    });
    lab.check().await.expect_clean();
}

/// Nothing is wider than the pane, nor was wrapped by it, but for the path of a file of this lab
/// that stands on a line of its own: it is there to be copied, and where the lab lies is the test's.
fn fits(lab: &TestLab, screen: &str, (columns, _): PaneSize) {
    let directory = lab.dir().display().to_string();
    for line in screen.lines() {
        let is_path = line.trim().starts_with(&directory) && !line.trim().contains(' ');
        assert!(line.chars().count() <= columns || is_path, "wider than the pane: {line}");
    }
}

/// Durations and what is as wide as they are.
fn pictures(lab: &TestLab) -> insta::Settings {
    let mut settings = redact::settings(lab);
    for (pattern, stands_for) in [
        (r"[█░]+", "<bar>"),
        (r"\d+ of 19 revisions", "<n> of 19 revisions"),
        (r"at [0-9a-f]{12}, target", "at <revision>, target"),
        (r"slowest quay-\d", "slowest quay-N"),
        (r"<seconds>|\b\d+:\d\d\b|\b[\d.]+ s\b", "<t>"),
        // What takes no time shows none.
        (
            r"(✓ +(?:pull|stage|approval|no-change gate|stop|dark gate|config|migrate|start|promote)) +<t>",
            "$1",
        ),
        (r" {2,}", "  "),
        (r"(?m) +$", ""),
    ] {
        settings.add_filter(pattern, stands_for);
    }
    settings
}

/// The trail without the line ends that hang on how long its steps took.
fn unwrapped(screen: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in screen.trim_end().lines() {
        let is_more = ["✓", "▸", "·"].iter().any(|mark| {
            line.trim_start().starts_with(mark) && line.starts_with(' ') && !line.contains('│')
        });
        match lines.last_mut() {
            Some(last) if is_more => last.push_str(&format!("   {}", line.trim_start())),
            Some(_) | None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn ctrl_c_in_the_dark_asks_first_and_leaves_the_terminal_as_it_was() {
    let lab = lab().await;
    let plan = lab.plan(Some("synchronous")).await;
    let pane = Pane::open(&lab, NARROW, &[]).await;
    let digest = short(&plan);
    let line = format!("quaymaster apply {digest} --accept-irreversible {digest}");
    pane.keys(&[&line, "Enter"]);
    pane.wait_for("the migration", |screen| screen.contains("of 19 revisions")).await;
    pane.keys(&["C-c"]);
    pane.wait_for("the warning", |screen| screen.contains("once more ends this process")).await;
    pane.keys(&["C-c"]);
    let screen = pane.wait_for_prompt().await;
    assert!(screen.contains("interrupted; what was done is written down"), "{screen}");
    assert!(screen.contains("point of no return, crossed"), "the last picture stays: {screen}");
    assert!(pane.is_restored());
    assert_eq!(pane.exit_code().await, 130);

    pane.clear().await;
    pane.keys(&["quaymaster resume", "Enter"]);
    pane.wait_for("its end", |screen| screen.contains("Window 1 of 1 done")).await;
    pane.wait_for_prompt().await;
    assert!(pane.is_restored());
    assert_eq!(pane.exit_code().await, 0);
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn a_watch_ends_with_q_and_with_ctrl_c_and_a_new_size_leaves_no_debris() {
    let lab = TestLab::up(Shape::of(3)).await;
    let pane = Pane::open(&lab, (80, 24), &[]).await;
    let whole = |screen: &str| screen.contains("3 of 3 healthy") && screen.contains("\nwatch ");
    pane.keys(&["quaymaster status --watch", "Enter"]);
    let narrow = pane.wait_for("the watch", whole).await;
    assert!(pane.is_drawn());
    pane.keys(&["z", "Enter"]);
    // There is room for the containers' names, then no more.
    pane.resize((160, 40));
    let wide = pane.wait_for("names", |screen| whole(screen) && screen.contains("-quay ")).await;
    pane.resize((60, 14));
    pane.wait_for("a cut", |screen| !screen.contains("-quay ") && screen.contains("\nwatch "))
        .await;
    pane.resize((80, 24));
    let again = pane.wait_for("the first size", |screen| steady(screen) == steady(&narrow)).await;
    for (screen, columns) in [(&narrow, 80), (&wide, 160), (&again, 80)] {
        assert!(screen.lines().all(|line| line.chars().count() <= columns), "{screen}");
        for word in ["NODE", "database", "\nwatch ", "\nnext "] {
            assert_eq!(screen.matches(word).count(), 1, "{word}: {screen}");
        }
    }
    // Stopped and continued, as any job of a shell.
    pane.keys(&["C-z"]);
    pane.wait_for_prompt().await;
    assert!(pane.is_restored());
    pane.keys(&["fg", "Enter"]);
    pane.wait_for("the watch again", |screen| pane.is_drawn() && steady(screen) == steady(&narrow))
        .await;
    for key in ["q", "C-c"] {
        pane.keys(&[key]);
        let left = pane.wait_for_prompt().await;
        assert!(left.contains("3 of 3 healthy"), "the last screen stays: {left}");
        assert!(pane.is_restored(), "{key}");
        assert_eq!(pane.exit_code().await, 0, "{key}");
        pane.clear().await;
        if key == "q" {
            pane.keys(&["quaymaster status --watch", "Enter"]);
            pane.wait_for("the watch", whole).await;
        }
    }
}

/// A screen without what time alone changes.
fn steady(screen: &str) -> String {
    let lines = screen.lines().filter(|line| !line.starts_with("watch "));
    let word = |word: &str| {
        let is_time = word.chars().next().is_some_and(|first| first.is_ascii_digit());
        if is_time { "#".to_owned() } else { word.to_owned() }
    };
    lines
        .map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}

#[tokio::test]
async fn a_terminal_without_colour_without_unicode_or_without_a_cursor_is_served() {
    let lab = TestLab::up(Shape::of(1)).await;
    let whole = |screen: &str| screen.contains("1 of 1 healthy");

    let coloured = Pane::open(&lab, (80, 24), &[]).await;
    coloured.keys(&["quaymaster status --watch", "Enter"]);
    coloured.wait_for("the watch", whole).await;
    let used = colours(&coloured.painted());
    assert!(used.contains(&32), "a healthy node is green: {used:?}");
    // Neither a background, nor black, white or a bright colour: legible on every background.
    assert!(used.iter().all(|code| matches!(code, 0 | 1 | 2 | 31 | 32 | 35 | 39 | 49)), "{used:?}");

    let plain = Pane::open(&lab, (80, 24), &[("NO_COLOR", "1"), ("LC_ALL", "C")]).await;
    plain.keys(&["quaymaster status --watch", "Enter"]);
    let screen = plain.wait_for("the watch", whole).await;
    assert!(plain.is_drawn());
    assert!(screen.is_ascii(), "{screen}");
    let used = colours(&plain.painted());
    assert!(!used.iter().any(|code| (30..=37).contains(code)), "{used:?}");

    let dumb = [("TERM", "dumb"), ("LC_ALL", "C.UTF-8"), ("NONE", "1")];
    let dumb = Pane::open(&lab, (80, 24), &dumb).await;
    dumb.keys(&["quaymaster status --watch", "Enter"]);
    let screen = dumb.wait_for("the block", whole).await;
    assert!(!dumb.is_drawn());
    assert!(screen.is_ascii(), "{screen}");
    dumb.keys(&["C-c"]);
    dumb.wait_for_prompt().await;
}

/// Every number of an SGR sequence.
fn colours(painted: &str) -> Vec<u32> {
    let codes = painted.split("\u{1b}[").skip(1).filter_map(|rest| rest.split_once('m'));
    codes.flat_map(|(codes, _)| codes.split(';').filter_map(|code| code.parse().ok())).collect()
}

#[tokio::test]
async fn a_watch_without_a_terminal_tells_once_and_then_what_changes() {
    let lab = TestLab::up(Shape::of(2)).await;
    let watch = ["status", "--watch", "--interval", "500ms"];
    let mut text = lab.spawn_quaymaster(watch);
    let mut json = lab.spawn_quaymaster(watch.into_iter().chain(["--output", "json"]));
    let mut text_lines = BufReader::new(text.stdout.take().unwrap()).lines();
    let mut json_lines = BufReader::new(json.stdout.take().unwrap()).lines();
    let block = async |lines: &mut tokio::io::Lines<_>| {
        let mut block = String::new();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            block.push_str(&line);
            block.push('\n');
            if line.starts_with("watch ") {
                return block;
            }
        }
    };
    let first = block(&mut text_lines).await;
    let value: Value =
        serde_json::from_str(&json_lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(value["status"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(value["watch"]["happened"], serde_json::json!([]));

    let config = lab.lab().layout().config_file("quay-2");
    OpenOptions::new().append(true).open(config).unwrap().write_all(b"# by hand\n").unwrap();
    // The very next thing that is told is the change.
    let second = block(&mut text_lines).await;
    let value: Value =
        serde_json::from_str(&json_lines.next_line().await.unwrap().unwrap()).unwrap();
    let happened = &value["watch"]["happened"];
    assert_eq!(happened[0]["node"], "quay-2");
    assert_eq!(happened[0]["change"], "config");
    text.kill().await.unwrap();
    json.kill().await.unwrap();
    pictures(&lab).bind(|| {
        assert_snapshot!("terminal-watch-without", format!("{first}----\n{second}"));
    });
}
