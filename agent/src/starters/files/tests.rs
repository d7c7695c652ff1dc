//! Hosts in a directory, and who starts `quay` on them.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;

use quaymaster_proto::node::OtherStarter;

use super::*;
use crate::starters::{Who, starters_of};

const START: &str = "[Service]\nExecStart=/usr/bin/docker start -a quay\n";

struct Host {
    root: tempfile::TempDir,
    starters: Starters,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let starters = Starters::under(root.path());
        Self { root, starters }
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        std::fs::write(self.path(path), text).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.path(path)).unwrap();
        self
    }

    fn found(&self) -> Vec<OtherStarter> {
        let id = "a".repeat(64);
        starters_of(&self.starters.look(), Who { name: "quay", id: &id })
    }

    /// As an operator reads it.
    fn told(&self) -> String {
        let mut text = String::new();
        for OtherStarter { what, remedy } in self.found() {
            writeln!(text, "{what}\n  {remedy}").unwrap();
        }
        text
    }
}

#[test]
fn each_starter_of_a_host_is_told_with_the_command_that_ends_it() {
    let host = Host::new();
    host.write("etc/systemd/system/quay.service", START)
        .link("etc/systemd/system/multi-user.target.wants/quay.service", "../quay.service")
        .link("run/systemd/units/invocation:quay.service", "0123")
        .write(
            "usr/lib/systemd/system/registry.service",
            "[Service]\nExecStart=/usr/bin/docker run --rm --name quay registry\n",
        )
        .write("etc/systemd/system/docker@.service", &START.replace("-a quay", "%i"))
        .link(
            "etc/systemd/system/multi-user.target.wants/docker@quay.service",
            "../docker@.service",
        )
        .write("etc/systemd/system/broken.service", "[Service]\ndocker start quay\n")
        .write("etc/containers/systemd/quay.container", "[Container]\nContainerName=quay\n")
        .write("etc/containers/systemd/pods.kube", "[Kube]\nYaml=pods.yaml\n")
        .write("etc/containers/systemd/pods.yaml", "metadata:\n  name: quay\n")
        .write("etc/cron.d/quay", "# keep it\n@reboot root docker start quay\n")
        .write("var/spool/cron/crontabs/root", "*/5 * * * * podman restart quay\n")
        .write("etc/rc.local", "#!/bin/sh\ndocker start quay\n");
    insta::assert_snapshot!(host.told());
}

#[test]
fn the_most_important_file_counts_and_a_masked_unit_does_not() {
    let host = Host::new();
    host.write("usr/lib/systemd/system/quay.service", START);
    assert_eq!(host.found().len(), 1);
    // Overridden by one that does something else.
    host.write("etc/systemd/system/quay.service", "[Service]\nExecStart=/bin/true\n");
    assert_eq!(host.found(), []);
    std::fs::remove_file(host.path("etc/systemd/system/quay.service")).unwrap();
    assert_eq!(host.found().len(), 1);
    host.link("etc/systemd/system/quay.service", "/dev/null");
    assert_eq!(host.found(), []);
    std::fs::remove_file(host.path("etc/systemd/system/quay.service")).unwrap();
    host.write("etc/systemd/system/quay.service", "");
    assert_eq!(host.found(), [], "an empty file masks too");
}

#[test]
fn drop_ins_are_read_with_the_unit() {
    let host = Host::new();
    let drop_in = "[Service]\nExecStart=\nExecStart=/usr/bin/docker start quay\n";
    host.write("usr/lib/systemd/system/app.service", "[Service]\nExecStart=/bin/true\n")
        .write("etc/systemd/system/app.service.d/10-quay.conf", drop_in);
    assert_eq!(host.found().len(), 1);
    // A later one takes it back.
    host.write("run/systemd/system/app.service.d/20.conf", "[Service]\nExecStart=\n");
    assert_eq!(host.found(), []);
    host.link("etc/systemd/system/app.service.d/20.conf", "/dev/null");
    assert_eq!(host.found().len(), 1);
    host.write("etc/systemd/system/app.service.d/30.conf", "ExecStart=docker start quay\n");
    let told = host.told();
    let place = "`/etc/systemd/system/app.service.d/30.conf`, line 1: a setting outside";
    assert!(told.contains(place), "{told}");
    // Drop-ins of a unit that is not there are nobody's.
    std::fs::remove_file(host.path("usr/lib/systemd/system/app.service")).unwrap();
    assert_eq!(host.found(), []);
}

#[test]
fn another_name_of_a_unit_is_not_another_unit() {
    let host = Host::new();
    host.write("etc/systemd/system/quay.service", START)
        .link("etc/systemd/system/registry.service", "/etc/systemd/system/quay.service");
    let [found] = host.found().try_into().unwrap();
    assert!(found.what.starts_with("systemd unit `quay.service` (enabled; "), "{}", found.what);
}

#[test]
fn what_cannot_be_read_counts_by_its_name_and_nothing_waits() {
    let host = Host::new();
    host.write("etc/systemd/system/quay.service", &format!("#{}\n{START}", "x".repeat(70_000)))
        .write("etc/systemd/system/other.service", &format!("#{}\n", "x".repeat(70_000)))
        .link("etc/systemd/system/clair.service", "/nowhere/clair.service")
        .write("etc/cron.d/long", &"@reboot root docker start quay\n".repeat(4000))
        .write("etc/cron.d/longer", &"@reboot root docker start clair\n".repeat(4000));
    for name in ["pipe.service", "quay@.service"] {
        let path = host.path(&format!("etc/systemd/system/{name}"));
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, pipe, 0o644.into(), 0).unwrap();
    }
    let what: Vec<String> = host.found().into_iter().map(|starter| starter.what).collect();
    let [long, pipe, table] = what.try_into().unwrap();
    assert!(long.ends_with("cannot be understood: it is longer than 64 KiB)"), "{long}");
    assert!(pipe.ends_with("cannot be understood: it is no file)"), "{pipe}");
    let why = "`/etc/cron.d/long` (cannot be understood: it is longer than 64 KiB)";
    assert_eq!(table, why);
    let script = format!("#!/bin/sh\ndocker start quay\n#{}\n", "x".repeat(70_000));
    host.write("opt/up.sh", &script).write("etc/crontab", "@reboot root /opt/up.sh\n");
    let told = host.told();
    assert!(told.contains("line 1 of `/etc/crontab` (cannot be understood: it is long"), "{told}");
}

#[test]
fn what_is_made_a_unit_of_and_what_cron_runs_now_and_then_is_found() {
    let host = Host::new();
    host.write(
        "run/systemd/generator.late/quay.service",
        "[Unit]\nSourcePath=/etc/init.d/quay\n[Service]\nExecStart=/etc/init.d/quay start\n",
    )
    .write("etc/init.d/quay", "#!/bin/sh\ncase \"$1\" in\n start) docker start quay ;;\nesac\n")
    .write("run/systemd/transient/run-1.service", START)
    .write("etc/cron.hourly/watch", "#!/bin/sh\n\ndocker start quay\n")
    .write("etc/cron.daily/clean", "#!/bin/sh\ndocker system prune\n")
    .write("etc/cron.weekly/notes", "docker start quay\n")
    .write("etc/anacrontab", "7 10 quay docker start quay\n")
    .write("etc/containers/systemd/registry/quay.container", "[Container]\nContainerName=quay\n")
    .write("etc/containers/systemd/users/quay.container", "[Container]\nContainerName=quay\n");
    let told = host.told();
    let places = [
        "unit `quay.service`",
        "mask --now quay.service",
        "unit `run-1.service`",
        "systemctl stop run-1.service",
        "line 3 of `/etc/cron.hourly/watch`",
        "line 1 of `/etc/anacrontab`",
        "/etc/containers/systemd/registry/quay.container",
    ];
    for place in places {
        assert!(told.contains(place), "{place} in {told}");
    }
    assert_eq!(host.found().len(), 5, "{told}");
}

#[test]
fn a_quadlet_is_told_once_and_what_was_made_of_it_when_it_is_gone() {
    let host = Host::new();
    let quadlet = "etc/containers/systemd/quay.container";
    let unit = "[Unit]\nSourcePath=/etc/containers/systemd/quay.container\n[Service]\n\
        ExecStart=/usr/bin/podman run --name=quay -d registry\n";
    host.write(quadlet, "[Container]\nContainerName=quay\n")
        .write("run/systemd/generator/quay.service", unit);
    let [found] = host.found().try_into().unwrap();
    assert!(found.what.starts_with("quadlet "), "{}", found.what);
    std::fs::remove_file(host.path(quadlet)).unwrap();
    let [found] = host.found().try_into().unwrap();
    assert!(found.what.starts_with("systemd unit `quay.service`"), "{}", found.what);
}

#[test]
fn nothing_is_read_again_until_something_has_changed() {
    let host = Host::new();
    host.write(
        "etc/systemd/system/registry.service",
        "[Service]\nEnvironmentFile=/etc/sysconfig/registry\nExecStart=/usr/bin/docker start $NAME\n",
    )
    .write("etc/sysconfig/registry", "NAME=other\n");
    let first = host.starters.look();
    assert!(Arc::ptr_eq(&first, &host.starters.look()));
    assert_eq!(host.found(), []);
    host.write("etc/sysconfig/registry", "NAME=quay\n");
    assert_eq!(host.found().len(), 1);
    let second = host.starters.look();
    assert!(Arc::ptr_eq(&second, &host.starters.look()));
    host.link("run/systemd/units/invocation:registry.service", "0123");
    assert!(host.told().contains("(running; "));
    std::fs::remove_file(host.path("etc/systemd/system/registry.service")).unwrap();
    assert_eq!(host.found(), []);
}

#[test]
fn scripts_that_are_run_are_read() {
    let host = Host::new();
    let script = "#!/bin/bash -e\nif ! docker ps | grep -q quay; then\n  docker start quay\nfi\n";
    host.write("opt/quay/up.sh", script)
        .write("etc/systemd/system/a.service", "[Service]\nExecStart=/opt/quay/up.sh\n")
        .write("etc/systemd/system/b.service", "[Service]\nExecStart=/bin/sh /opt/quay/up.sh -v\n")
        .write("etc/cron.d/watch", "*/5 * * * * root /opt/quay/up.sh >/dev/null\n");
    let told = host.told();
    for what in ["unit `a.service`", "unit `b.service`", "line 1 of `/etc/cron.d/watch`"] {
        assert!(told.contains(what), "{told}");
    }
    host.write("opt/quay/up.sh", "#!/usr/bin/python3\n# docker start quay\n");
    assert_eq!(host.found(), []);
    host.write("opt/quay/up.sh", "no script: docker start quay\n");
    assert_eq!(host.found(), []);
    std::fs::remove_file(host.path("opt/quay/up.sh")).unwrap();
    assert_eq!(host.found(), []);
    host.write("opt/quay/up.sh", script);
    assert_eq!(host.found().len(), 3);
}

#[test]
fn a_directory_with_too_much_in_it_is_told() {
    let host = Host::new();
    for number in 0..=10_000 {
        symlink("/dev/null", host.path(&format!("etc/cron.d/{number}"))).unwrap();
    }
    assert_eq!(
        host.told(),
        "`/etc/cron.d`, which holds more files than can be looked through\n  ls /etc/cron.d, and \
         make room there\n"
    );
}

#[test]
fn a_host_without_any_of_it_starts_nothing() {
    assert_eq!(Host::new().found(), []);
    assert!(Starters::under("/nonexistent").look().is_empty());
}
