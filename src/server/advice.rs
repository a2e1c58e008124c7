//! Advice about a configuration that works, but probably not as its author expects.

use std::fs;

use crate::config::{BindAddress, Config};

/// Returns one text for each piece of advice. Each says what to write instead. The limit on open
/// files has room for `clients_max` clients.
pub(super) fn advice(config: &Config, clients_max: usize) -> Vec<String> {
    let facts = [
        workers(config, num_cpus::get()),
        open_files(config, clients_max),
        backlog(config, backlog_max()),
        open_bind(config),
    ];
    facts.into_iter().flatten().collect()
}

/// `cpus` are those that the process may use: its cgroup may allow fewer than the machine has.
fn workers(config: &Config, cpus: usize) -> Option<String> {
    let workers = config.workers;
    (workers > cpus).then(|| {
        format!(
            "`workers = {workers}` starts more threads than the {cpus} CPUs that this process may \
             use; write `workers = 0` for one per CPU, unless handlers wait for something else"
        )
    })
}

fn open_files(config: &Config, clients_max: usize) -> Option<String> {
    let wanted = config.maxclients;
    (wanted > clients_max).then(|| {
        format!(
            "`maxclients = {wanted}` needs more open files than this process may have; write \
             `maxclients = {clients_max}`, or raise `ulimit -n`"
        )
    })
}

fn backlog(config: &Config, backlog_max: Option<u32>) -> Option<String> {
    let (wanted, max) = (config.tcp_backlog, backlog_max?);
    (wanted > max).then(|| {
        format!(
            "the kernel lowers `tcp-backlog = {wanted}` to {max}, by net.core.somaxconn; write \
             `tcp-backlog = {max}`, or raise it with `sysctl net.core.somaxconn={wanted}`"
        )
    })
}

/// Returns the longest backlog that the kernel allows; `None` where it does not say.
fn backlog_max() -> Option<u32> {
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    text.trim().parse().ok()
}

fn open_bind(config: &Config) -> Option<String> {
    let is_remote = |bind: &&BindAddress| !bind.address.to_canonical().is_loopback();
    let tls = config.tls_addresses();
    let lists = [("bind", &config.bind), ("tls-bind", &tls)].into_iter();
    let mut open =
        lists.filter_map(|(key, list)| Some((key, list.iter().find(is_remote)?.address)));
    let (key, address) = open.next()?;
    if config.requirepass.is_some() {
        return None;
    }
    Some(if config.protected_mode {
        format!(
            "`{key}` has {address}, but without a password `protected-mode` refuses other machines; \
             write `requirepass-file = \"PATH\"`"
        )
    } else {
        format!(
            "`{key}` has {address} without a password: every machine that reaches it may run every \
             command; write `requirepass-file = \"PATH\"`, or `{key} = [\"127.0.0.1\", \"-::1\"]`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_configuration_needs_no_advice() {
        let config = Config::default();
        assert_eq!(workers(&config, 1), None);
        assert_eq!(backlog(&config, Some(511)), None);
        assert_eq!(backlog(&config, None), None);
        assert_eq!(open_bind(&config), None);
        assert_eq!(open_files(&config, config.maxclients), None);
    }

    #[test]
    fn clients_without_descriptors_are_noticed() {
        let text = open_files(&Config::default(), 40).expect("advice");
        assert!(text.contains("`maxclients = 40`"), "{text}");
    }

    #[test]
    fn more_workers_than_cpus_are_noticed() {
        let config = Config {
            workers: 3,
            ..Config::default()
        };
        assert_eq!(workers(&config, 3), None);
        let text = workers(&config, 2).expect("advice");
        assert!(text.contains("`workers = 0`"), "{text}");
    }

    #[test]
    fn backlog_that_the_kernel_lowers_is_noticed() {
        let text = backlog(&Config::default(), Some(128)).expect("advice");
        assert!(text.contains("`tcp-backlog = 128`"), "{text}");
    }

    #[test]
    fn open_address_without_password_is_noticed() {
        let mut config = Config {
            bind: vec!["127.0.0.1".parse().unwrap(), "*".parse().unwrap()],
            ..Config::default()
        };
        let text = open_bind(&config).expect("advice");
        assert!(
            text.contains("0.0.0.0") && text.contains("protected-mode"),
            "{text}"
        );
        config.protected_mode = false;
        let text = open_bind(&config).expect("advice");
        assert!(text.contains("every machine"), "{text}");
        config.requirepass = Some("secret".into());
        assert_eq!(open_bind(&config), None);
    }
}
