//! Units as people wrote them, and what of them starts `quay`.

use std::path::Path;

use super::unit::{self, Kind, Part};
use super::*;

const ID: &str = "3f17322f5075eea49ba57ace2f605b0cb25fe766b9561801724092ac914abf69";

fn quay() -> Who<'static> {
    Who { name: "quay", id: ID }
}

/// What a unit with this text, in files with these variables, does to `quay`.
fn of_unit(name: &str, text: &str, variables: Option<&str>) -> Vec<String> {
    let parts = [Part { path: Path::new("/etc/systemd/system").join(name), text: text.to_owned() }];
    let read = |_: &Path, kind| match kind {
        Kind::Variables => variables.map(|text| Ok(text.to_owned())),
        Kind::Script => None,
    };
    words(unit::deeds(name, &parts, read))
}

fn words(deeds: Vec<Deed>) -> Vec<String> {
    deeds.iter().filter(|deed| deed.concerns(quay())).map(Deed::words).collect()
}

fn of_exec(line: &str) -> Vec<String> {
    of_unit("some.service", &format!("[Service]\n{line}\n"), None)
}

/// Docker's own documentation of 2017.
const START_A: &str = "[Unit]
Description=Quay container
Requires=docker.service
After=docker.service

[Service]
Restart=always
ExecStart=/usr/bin/docker start -a quay
ExecStop=/usr/bin/docker stop -t 2 quay

[Install]
WantedBy=local.target
";

const RUN: &str = "[Unit]
Description = Red Hat Quay

[Service]
# the old one may be left
ExecStartPre=-/usr/bin/docker rm -f quay
ExecStart=/usr/bin/docker run --rm --name quay \\
    -p 443:443 -p 80:80 \\
    # storage is on the filer
    -v /mnt/quay/config:/conf/stack \\
    --privileged=true \\
    quay.io/coreos/quay:v2.9.5
ExecStop=/usr/bin/docker stop quay
";

const FROM_A_FILE: &str = "[Service]
EnvironmentFile=-/etc/sysconfig/quay
ExecStart=/usr/bin/docker run --name ${CONTAINER} $OPTIONS ${IMAGE}
";

#[test]
fn a_unit_that_starts_or_runs_the_container_is_seen() {
    assert_eq!(of_unit("quay.service", START_A, None), ["`docker start`"]);
    assert_eq!(of_unit("quay.service", RUN, None), ["`docker run --name`"]);
    for line in [
        "ExecStart=/usr/bin/docker start -a quay",
        "ExecStart=-/usr/bin/docker restart --time 30 quay",
        "ExecStart=/usr/bin/docker container start quay",
        "ExecStartPost=+/usr/bin/docker start clair quay",
        "ExecStart=/usr/bin/docker -H unix:///run/docker.sock start quay",
        "ExecReload=/usr/bin/docker restart quay",
        "ExecStart=@/usr/bin/podman podman --log-level info start quay",
        "ExecStart=/usr/bin/podman run --cidfile=%t/%n.ctr-id --replace --name=quay -d registry",
        "ExecStart=/bin/sh -c 'docker rm -f quay; exec docker run --name quay registry'",
        "ExecStart=/usr/bin/bash -lc \"test -e /x && /usr/bin/docker start quay >/dev/null 2>&1\"",
        "ExecStart=/usr/bin/env docker start \"quay\"",
        "ExecStart=/usr/local/bin/docker-compose -f /opt/registry.yml up -d quay",
        "ExecStart=/usr/bin/docker compose --project-name registry start quay",
        "ExecStart=/usr/bin/docker pull registry ; /usr/bin/docker start quay",
        "ExecStart=/usr/bin/podman start 3f17322f5075",
        "ExecStart=/usr/bin/podman start --all",
        "Environment=NAME=quay \"OTHER=a b\"\nExecStart=/usr/bin/docker start $NAME",
    ] {
        assert_eq!(of_exec(line).len(), 1, "{line}");
    }
}

#[test]
fn a_unit_that_does_something_else_is_nobodys_business() {
    for line in [
        "ExecStart=/usr/bin/docker start -a quay-proxy",
        "ExecStart=/usr/bin/docker run --name quay-builder quay.io/coreos/quay-builder:v2.9.5",
        "ExecStart=/usr/bin/docker run --name my.quay quay",
        "ExecStart=/usr/bin/docker run quay",
        "ExecStart=/usr/bin/docker exec quay supervisorctl start all",
        "ExecStart=/usr/bin/docker stop quay",
        "ExecStart=/usr/bin/docker logs -f quay",
        "ExecStop=/usr/bin/docker start quay",
        "#ExecStart=/usr/bin/docker start quay",
        "; ExecStart=/usr/bin/docker start quay",
        "ExecStart=/usr/bin/docker start quay\nExecStart=\nExecStart=/bin/true",
        "ExecStart=/usr/bin/dockerd --label quay",
        "ExecStart=/bin/sh -c 'echo quay # docker start quay'",
        "ExecStart=/opt/exporter --start quay",
        "ExecStart=/usr/bin/podman start abcdef",
        // Podman's own unit: it follows restart policies.
        "Environment=LOGGING=\"--log-level=info\"\n\
         ExecStart=/usr/bin/podman $LOGGING start --all --filter restart-policy=always",
    ] {
        assert_eq!(of_exec(line), [""; 0], "{line}");
    }
    let elsewhere = "[X-Old]\nExecStart=/usr/bin/docker start quay\n";
    assert_eq!(of_unit("quay.service", elsewhere, None), [""; 0]);
}

#[test]
fn specifiers_say_which_container() {
    let run = |what: &str| format!("[Service]\nExecStart=/usr/bin/docker run --name {what} quay\n");
    for (unit, what) in [
        ("quay.service", "%N"),
        ("quay.service", "%p"),
        ("quay@blue.service", "%p"),
        ("docker@quay.service", "%i"),
        ("docker@quay.service", "%I"),
    ] {
        assert_eq!(of_unit(unit, &run(what), None), ["`docker run --name`"], "{unit} {what}");
    }
    for (unit, what) in [
        ("quay.service", "%n"),
        ("quay@blue.service", "%i"),
        ("docker@.service", "%i"),
        ("some.service", "%%N"),
    ] {
        assert_eq!(of_unit(unit, &run(what), None), [""; 0], "{unit} {what}");
    }
}

#[test]
fn variables_of_a_file_are_put_in_and_an_unknown_name_is_not_guessed() {
    let variables = "# ours\nCONTAINER=quay\nOPTIONS=\"-p 443:443\"\nIMAGE=registry\n";
    let found = of_unit("registry.service", FROM_A_FILE, Some(variables));
    assert_eq!(found, ["`docker run --name`"]);
    let other = variables.replace("=quay", "=clair");
    // The file itself is called like the container; nothing else is meant.
    assert_eq!(of_unit("registry.service", FROM_A_FILE, Some(&other)), [""; 0]);
    let unknown = of_unit("registry.service", FROM_A_FILE, None);
    assert_eq!(
        unknown,
        ["cannot be understood: `docker run --name` names its container by `${CONTAINER}`"]
    );
    assert_eq!(of_exec("ExecStart=/usr/bin/docker start $CONTAINER"), [""; 0]);
}

#[test]
fn a_file_that_does_not_parse_counts_where_it_names_the_container() {
    for (text, why) in [
        ("[Service\nExecStart=/usr/bin/docker start quay\n", "line 1: a section without `]`"),
        ("[Service]\n\nExecStart /usr/bin/docker start quay\n", "line 3: no `=`"),
        ("ExecStart=/usr/bin/docker start quay\n", "line 1: a setting outside of any section"),
        (
            "[Service]\nExecStart=/bin/sh -c 'docker start quay -e SECRET=x\n",
            "a command with a quote without end",
        ),
    ] {
        let found = of_unit("quay.service", text, None);
        assert_eq!(found, [format!("cannot be understood: {why}")]);
        let other = text.replace("quay", "quay-proxy");
        assert_eq!(of_unit("quay-proxy.service", &other, None), [""; 0]);
    }
    let compose = "ExecStart=/usr/bin/docker-compose -f /opt/quay/docker-compose.yml up";
    assert_eq!(of_exec(compose), ["cannot be understood: `docker-compose up` names no service"]);
    assert_eq!(of_exec(&compose.replace("quay", "clair")), [""; 0]);
}

#[test]
fn a_name_is_not_found_inside_another() {
    for text in ["a quay", "\"quay\"", "/opt/quay/x", "=quay\n", "quay.", "After=quay.service"] {
        assert!(names(text, "quay"), "{text}");
    }
    for text in ["quay-proxy", "my-quay", "quay.io/coreos", "quays", "quay_1", "QUAY", ""] {
        assert!(!names(text, "quay"), "{text}");
    }
}

#[test]
fn lines_of_cron_and_of_start_up_scripts_are_read() {
    let found = |text: &str| {
        let found = lines::starters(Path::new("/etc/cron.d/quay"), text, |_| None);
        let concern = found.into_iter().filter(|starter| starter.deed.concerns(quay()));
        concern.map(|starter| starter.told("quay")).collect::<Vec<_>>()
    };
    let table = "# keep it up\nMAILTO=root\nNAME=quay\n\
        */5 * * * * root docker start quay >/dev/null\n@reboot root /usr/bin/docker start $NAME\n\
        0 3 * * * root docker exec quay backup\n0 4 * * * root docker start quay-proxy\n\
        5 * * * * root [ -e /run/x ] || docker restart quay\n";
    let told = found(table);
    let places: Vec<&str> = told.iter().map(|starter| starter.what.as_str()).collect();
    assert_eq!(
        places,
        [
            "line 4 of `/etc/cron.d/quay` (`docker start`)",
            "line 5 of `/etc/cron.d/quay` (`docker start`)",
            "line 8 of `/etc/cron.d/quay` (`docker restart`)",
        ]
    );
    assert_eq!(told[0].remedy, "sed -i '4s/^/#/' /etc/cron.d/quay");
    assert!(found("#!/bin/sh\ntouch /var/lock/subsys/local\ndocker start clair\n").is_empty());
    assert_eq!(found("#!/bin/sh\nC=\"$(docker ps -aq)\"\ndocker start quay\n").len(), 1);
}

fn of_lines(path: &str, text: &str) -> Vec<OtherStarter> {
    let found = lines::starters(Path::new(path), text, |_| None);
    let concern = found.into_iter().filter(|starter| starter.deed.concerns(quay()));
    concern.map(|starter| starter.told("quay")).collect()
}

#[test]
fn a_command_that_another_one_tells_its_containers_starts_any() {
    for line in [
        "@reboot root docker start $(docker ps -aq)",
        "@reboot root docker start `docker ps -aq`",
        "@reboot root docker ps -aq | xargs docker start",
        "@reboot root docker ps -aq | xargs -r -n 1 /usr/bin/podman restart",
        "@reboot root for c in $(docker ps -aq); do docker start \"$c\"; done",
        "@reboot root su - root -c 'docker start $(docker ps -aq)'",
        "@reboot root su - root -c 'docker start quay'",
        "@reboot root runuser --command='docker start quay' root",
        "@reboot root echo \"$(docker start quay)\"",
        "@reboot root echo \"started `docker start quay`\"",
        "@reboot root podman restart -a",
        "OPTS = -d --name quay\n@reboot root docker run $OPTS img",
    ] {
        assert_eq!(of_lines("/etc/cron.d/x", line).len(), 1, "{line}");
    }
    for line in [
        "# docker start $(docker ps -aq)",
        "@reboot root service docker start",
        "@reboot root /etc/init.d/docker restart",
        "@reboot root docker stop $(docker ps -aq)",
        "@reboot root docker ps -aq | xargs docker stop",
        "@reboot root docker rm $(docker ps -aq); docker start clair",
        "@reboot root echo '$(docker start quay)'",
        "@reboot root echo \"\\$(docker start quay)\"",
        "@reboot root echo \"$(docker start quay-proxy)\"",
        "@reboot root su - root -c 'docker start clair'",
        "@reboot root su - quay",
        "@reboot root podman start -a clair",
        "@reboot root for c in clair redis; do docker start $c; done",
        // Each line is a shell of its own.
        "@reboot root X=quay; true\n@reboot root docker start $X",
    ] {
        assert_eq!(of_lines("/etc/cron.d/x", line), [], "{line}");
    }
}

#[test]
fn a_command_may_go_on_and_use_what_was_assigned_before() {
    let run = "#!/bin/sh\nC=1\ndocker run -d \\\n  --name quay \\\n  registry\nexit 0\n";
    let [run] = of_lines("/etc/rc.local", run).try_into().unwrap();
    assert_eq!(run.what, "lines 3 to 5 of `/etc/rc.local` (`docker run --name`)");
    assert_eq!(run.remedy, "sed -i '3,5s/^/#/' /etc/rc.local");
    for text in [
        "OPTS=\"-d --name quay\"\ndocker run $OPTS img",
        "export OPTS=\"-d --name quay\"\ndocker run ${OPTS} img",
        "C=\"$(docker run -d --name quay img)\"",
        "C=$(docker ps -aq)\ndocker start $C",
        "docker run -d $(cat /etc/options) --name quay img",
        "true # not \\\ndocker start quay",
    ] {
        assert_eq!(of_lines("/etc/rc.d/rc.local", text).len(), 1, "{text}");
    }
    for text in [
        "OPTS=\"-d --name clair\"\ndocker run $OPTS img",
        "# docker run \\\n# --name quay \\\n# registry",
        "C=\"$(docker inspect quay)\"",
        "docker run -d \\\n  --name quay-proxy img",
    ] {
        assert_eq!(of_lines("/etc/rc.d/rc.local", text), [], "{text}");
    }
    // As deep as anybody likes.
    let deep = "$(".repeat(30_000);
    assert_eq!(of_lines("/etc/rc.local", &deep), []);
}

#[test]
fn a_quadlet_runs_the_container_that_it_names_or_that_has_its_own_name() {
    let found = |file: &str, text: &str| {
        let path = Path::new("/etc/containers/systemd").join(file);
        let parts = [Part { path: path.clone(), text: text.to_owned() }];
        quadlet::container(&path, &parts).deed
    };
    let named = found("registry.container", "[Container]\nImage=x\nContainerName=quay\n");
    assert_eq!(words(vec![named]), ["`podman run --name`"]);
    assert!(words(vec![found("quay.container", "[Container]\nImage=quay\n")]).is_empty());
    let Deed::Starts { how: _, container } = found("quay.container", "[Container]\nImage=x\n")
    else {
        panic!("it says enough")
    };
    assert_eq!(container, "systemd-quay");
    let bad = found("quay.container", "[Container\nContainerName=quay\n");
    assert_eq!(words(vec![bad]), ["cannot be understood: line 1: a section without `]`"]);
}
