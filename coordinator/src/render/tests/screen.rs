//! The screens of `status`, and of `status --watch`.

use super::*;

pub(super) struct Screen {
    cluster: Cluster,
    pub(super) survey: Survey,
    health: BTreeMap<NodeName, HealthReport>,
    backfill: Option<BackfillSample>,
    unread: Option<String>,
    pub(super) known: KnownRuns,
    watch: Option<Watch>,
    now: jiff::Timestamp,
}

impl Screen {
    pub(super) fn new(count: u8, facts: fn(&Cluster) -> ClusterFacts) -> Self {
        let cluster = fixture::cluster(count);
        let facts = facts(&cluster);
        let report = HealthReport {
            at: fixture::survey_time(),
            container: None,
            instance: HealthRoute { status: Some(200), ..HealthRoute::default() },
            endtoend: HealthRoute { status: Some(200), ..HealthRoute::default() },
            verdict: HealthVerdict::Healthy,
            effective_mode: None,
        };
        let health = cluster.names().map(|name| (name.clone(), report.clone())).collect();
        let survey = Survey { facts, silent: BTreeMap::new() };
        Self {
            cluster,
            survey,
            health,
            backfill: None,
            unread: None,
            known: KnownRuns::new(),
            watch: None,
            now: fixture::survey_time(),
        }
    }

    pub(super) fn shown(&self, run: Option<RunSeen<'_>>) -> (String, serde_json::Value) {
        self.with_view(run, |view| {
            let text = status(view, UNICODE);
            fits(&text);
            (text, status_json(view))
        })
    }

    /// The screen of a watch, an age after its last look.
    fn watched(&self, run: Option<RunSeen<'_>>, size: Size, style: Style) -> Vec<String> {
        self.with_view(run, |status| {
            let (interval, age) = (Duration::from_secs(2), Some(Duration::from_millis(1_400)));
            watched(&Watched { status, interval, age, ends: "q or Ctrl-C ends it" }, size, style)
        })
    }

    pub(super) fn with_view<T>(
        &self,
        run: Option<RunSeen<'_>>,
        show: impl FnOnce(&StatusView<'_>) -> T,
    ) -> T {
        let catalogue = Catalogue::built_in();
        show(&StatusView {
            cluster: &self.cluster,
            survey: &self.survey,
            reader: Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors },
            health: &self.health,
            backfill: self.backfill.as_ref(),
            run,
            unread: self.unread.as_deref(),
            known: &self.known,
            watch: self.watch.as_ref(),
            now: self.now,
            program: "quaymaster",
        })
    }

    /// Every node is looked at, so many seconds before the screen.
    fn look(&mut self, seconds: i64) {
        let at = fixture::survey_time() - jiff::SignedDuration::from_secs(seconds);
        let catalogue = Catalogue::built_in();
        let reader = Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors };
        let watch = self.watch.get_or_insert_with(|| Watch::new(at));
        for name in self.cluster.names() {
            let node = self.survey.facts.nodes.get(name);
            let sight = node.map(|node| {
                let generation = reader.generation(&self.survey.facts, node).ok();
                let verdict = self.health.get(name).map(|report| report.verdict);
                Sight::of(node, generation, verdict)
            });
            watch.see(name, sight, at);
        }
    }

    fn fall_silent(&mut self, name: &NodeName) {
        let address = self.survey.facts.nodes.remove(name).unwrap().address;
        let silence = Silence {
            address,
            problem: "connection refused: no agent listens there".into(),
            remedy: "start the agent there: systemctl start quaymaster-agent".into(),
        };
        self.survey.silent.insert(name.clone(), silence);
        self.health.remove(name);
    }
}

#[test]
fn status_before_between_and_after_the_windows() {
    let before = Screen::new(3, fixture::on_2_9_5).shown(None).0;
    let mut between = Screen::new(3, fixture::on_background);
    between.backfill = Some(BackfillSample::Counted {
        at: fixture::survey_time(),
        progress: 0.784_199,
        tags_remaining: 6_500_000,
        total_tags: 30_100_000,
    });
    let after = Screen::new(3, fixture::on_complete).shown(None).0;
    insta::assert_snapshot!([before, between.shown(None).0, after].join("\n\n"));
}

#[test]
fn a_status_without_its_run_still_shows_the_nodes() {
    let mut screen = Screen::new(1, fixture::on_2_9_5);
    screen.unread = Some("journal `state/journal.db` cannot be trusted".into());
    let (text, json) = screen.shown(None);
    insta::assert_snapshot!(text);
    assert_eq!(json["status"]["run_problem"], "journal `state/journal.db` cannot be trusted");
}

#[test]
fn status_of_a_cluster_in_trouble() {
    let mut screen = Screen::new(6, fixture::on_2_9_5);
    let mut names = screen.cluster.names().cloned().collect::<Vec<_>>().into_iter();
    let (one, two, three, four, five) = (
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
    );
    let sick = screen.health.get_mut(&one).unwrap();
    sick.verdict = HealthVerdict::Unhealthy;
    sick.endtoend.services.insert("database".into(), false);
    let node =
        |screen: &mut Screen, name: &NodeName| screen.survey.facts.nodes.remove(name).unwrap();

    screen.fall_silent(&two);

    let mut down = node(&mut screen, &three);
    let container = down.facts.components[0].container.as_mut().unwrap();
    container.state.status = ContainerStatus::Exited;
    container.state.finished_at = Some("2026-11-22T01:58:00Z".parse().unwrap());
    screen.survey.facts.nodes.insert(three.clone(), down);
    screen.health.get_mut(&three).unwrap().verdict = HealthVerdict::Down;

    let mut ahead = node(&mut screen, &four);
    let container = ahead.facts.components[0].container.as_mut().unwrap();
    container.image_reference = "quay.io/redhat/quay:v3.0.5".into();
    container.image_tags.clear();
    container.effective_mode = Some(Mode::Complete);
    container.state.restart_count = 3;
    screen.survey.facts.nodes.insert(four, ahead);

    let mut ending = node(&mut screen, &five);
    ending.facts.certificate_not_after = "2026-12-01T00:00:00Z".parse().unwrap();
    screen.survey.facts.nodes.insert(five, ending);

    insta::assert_snapshot!(screen.shown(None).0);
}

#[test]
fn a_watch_of_a_quiet_cluster_says_how_old_it_is() {
    let mut screen = Screen::new(3, fixture::on_background);
    screen.backfill = Some(BackfillSample::Counted {
        at: fixture::survey_time(),
        progress: 0.784_199,
        tags_remaining: 6_500_000,
        total_tags: 30_100_000,
    });
    screen.look(60);
    insta::assert_snapshot!(tagged::pictures(|size, style| screen.watched(None, size, style)));
}

#[test]
fn a_watch_marks_what_changed_and_who_fell_silent() {
    let mut screen = Screen::new(6, fixture::on_2_9_5);
    fixture::add_companion(&mut screen.survey.facts, "quay-3", Component::Clair);
    screen.look(600);
    let names: Vec<NodeName> = screen.cluster.names().cloned().collect();
    let state = |screen: &mut Screen, name: &NodeName, place: usize| {
        let node = screen.survey.facts.nodes.get_mut(name).unwrap();
        node.facts.components[place].container.as_mut().unwrap().state.clone()
    };
    let set = |screen: &mut Screen, name: &NodeName, place: usize, state| {
        let node = screen.survey.facts.nodes.get_mut(name).unwrap();
        node.facts.components[place].container.as_mut().unwrap().state = state;
    };
    // quay-2 restarts, Clair beside quay-3 ends, quay-4 is sick for a while, quay-5 falls silent.
    let mut restarted = state(&mut screen, &names[1], 0);
    restarted.started_at = Some("2026-11-22T02:07:30Z".parse().unwrap());
    set(&mut screen, &names[1], 0, restarted);
    screen.health.get_mut(&names[3]).unwrap().verdict = HealthVerdict::Unhealthy;
    screen.look(140);
    let mut ended = state(&mut screen, &names[2], 1);
    ended.status = ContainerStatus::Exited;
    set(&mut screen, &names[2], 1, ended);
    screen.health.get_mut(&names[3]).unwrap().verdict = HealthVerdict::Healthy;
    screen.look(90);
    screen.fall_silent(&names[4]);
    screen.look(12);
    insta::assert_snapshot!(tagged::pictures(|size, style| screen.watched(None, size, style)));
    let json = screen.with_view(None, |status| {
        let interval = Duration::from_secs(2);
        watched_json(&Watched { status, interval, age: None, ends: "" })
    });
    insta::assert_json_snapshot!(json["watch"]);
    assert_eq!(json["status"]["nodes"][4]["silent_since"], "2026-11-22T02:09:48Z");
}

#[test]
fn a_watch_shows_where_a_run_stands_and_why_it_waits() {
    let plan = checked(3, &background());
    let mut happened = events(&plan, Some(What::Gate(Gate::FirstNode)));
    let (step, at) = (step(&plan, What::Gate(Gate::FirstNode)), happened.last().unwrap().at());
    let on =
        WaitingOn::Migration { revision: "c00a1f15968b".into(), target: "481623ba00ba".into() };
    happened.push(Event::Waiting { step, on, at });
    let state = state(&happened);
    let run = RunSeen { plan: &plan, state: &state };
    let mut screen = Screen::new(3, fixture::on_2_9_5);
    screen.look(20);
    screen.now = at + jiff::SignedDuration::from_secs(63);
    insta::assert_snapshot!(tagged::pictures(|size, style| {
        screen.watched(Some(run), size, style)
    }));
}

#[test]
fn a_watch_of_many_nodes_shows_those_that_matter() {
    let mut screen = Screen::new(120, fixture::on_2_9_5);
    screen.look(60);
    let names: Vec<NodeName> = screen.cluster.names().cloned().collect();
    screen.fall_silent(&names[77]);
    screen.health.get_mut(&names[99]).unwrap().verdict = HealthVerdict::Down;
    screen.look(10);
    let size = Size { columns: 80, rows: Some(24) };
    let lines = screen.watched(None, size, UNICODE);
    assert!(lines.len() <= 24, "{} lines", lines.len());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn status_for_programs() {
    let plan = checked(1, &background());
    let state = state(&events(&plan, Some(What::Gate(Gate::Dark))));
    let (text, json) =
        Screen::new(1, fixture::on_2_9_5).shown(Some(RunSeen { plan: &plan, state: &state }));
    insta::assert_snapshot!(text);
    insta::assert_json_snapshot!(json);
}
