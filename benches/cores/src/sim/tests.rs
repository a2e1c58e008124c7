//! What holds for every simulation.

use super::params::{Access, Design, Load, Model, Outcome, Params, Wake};
use super::{Simulation, simulate};

const NOTHING: Access = Access { alone: 0, moved: 0 };
const NO_WAKE: Wake = Wake { call: 0, delay: 0 };

/// A model in which only the kernel's work on sockets takes time, 4 µs for each turn.
fn model() -> Model {
    Model {
        watch: NOTHING,
        slot: NOTHING,
        channel: NOTHING,
        counter: NOTHING,
        read: NOTHING,
        client: NOTHING,
        ready_list: NOTHING,
        give_way: 500,
        poll_call: 0,
        poll_event: 0,
        sockets: Access {
            alone: 4000,
            moved: 4000,
        },
        own_work: 0,
        handler: 0,
        leader_wake: NO_WAKE,
        follower_wake: NO_WAKE,
        switch: 0,
        load_send: 1000,
        load_recv: 1000,
        busy_factor: 1.0,
    }
}

fn params(model: Model, workers: usize) -> Params {
    Params {
        model,
        design: Design::POOL,
        workers,
        clients: 50 * workers,
        load: Load::Far(10_000),
        cores: (0..workers).collect(),
        ns: 50_000_000,
    }
}

fn is_near(value: f64, expected: f64, tolerance: f64) -> bool {
    (value / expected - 1.0).abs() < tolerance
}

#[test]
fn same_parameters_have_the_same_outcome() {
    let params = params(model().with_transfer(50), 4);
    assert_eq!(simulate(&params), simulate(&params));
}

#[test]
fn one_core_takes_the_sum_of_the_costs() {
    let costly = Model {
        watch: Access {
            alone: 100,
            moved: 9999,
        },
        slot: Access {
            alone: 50,
            moved: 9999,
        },
        poll_event: 200,
        own_work: 650,
        ..model()
    };
    let Outcome { turns_per_s, .. } = simulate(&params(costly, 1));
    // The slot is locked by the event and by the worker that parks. Polls are few.
    let sum = 4000.0 + 100.0 + 2.0 * 50.0 + 200.0 + 650.0;
    assert!(is_near(turns_per_s, 1e9 / sum, 0.02), "{turns_per_s}");
}

#[test]
fn closed_loop_conserves_clients() {
    for workers in [1, 3] {
        let Outcome {
            turns_per_s,
            p50_us,
            in_flight,
            ..
        } = simulate(&params(model(), workers));
        let clients = 50 * workers;
        assert!(in_flight <= clients, "{in_flight}");
        // Little's law: the clients that wait, and those whose next request is on its way.
        let cycle_s = (p50_us + 10.0) / 1e6;
        let found = turns_per_s * cycle_s;
        assert!(is_near(found, clients as f64, 0.1), "{found} of {clients}");
    }
}

#[test]
fn cores_without_shared_costs_add_up() {
    let one = simulate(&params(model(), 1)).turns_per_s;
    let four = simulate(&params(model(), 4)).turns_per_s;
    assert!(is_near(four, 4.0 * one, 0.1), "{four}, {one}");
}

#[test]
fn the_watch_bounds_the_throughput() {
    let slow = Model {
        watch: Access {
            alone: 2000,
            moved: 2000,
        },
        ..model()
    };
    let Outcome {
        turns_per_s,
        asleep,
        ..
    } = simulate(&params(slow, 8));
    // A worker spins while another one takes a client, as while it polls.
    assert!(asleep < 0.01, "{asleep}");
    assert!(turns_per_s <= 1e9 / 2000.0, "{turns_per_s}");
    // Some of it is lost between two attempts of the workers that spin.
    assert!(turns_per_s > 0.5e9 / 2000.0, "{turns_per_s}");
}

#[test]
fn the_ready_list_bounds_the_throughput() {
    let slow = Model {
        ready_list: Access {
            alone: 2000,
            moved: 2000,
        },
        ..model()
    };
    let turns_per_s = simulate(&params(slow, 8)).turns_per_s;
    assert!(turns_per_s <= 1e9 / 2000.0, "{turns_per_s}");
}

#[test]
fn one_thread_as_load_may_be_the_limit() {
    let near = Params {
        load: Load::Thread(2),
        ..params(model(), 2)
    };
    let turns_per_s = simulate(&near).turns_per_s;
    assert!(is_near(turns_per_s, 1e9 / 2000.0, 0.05), "{turns_per_s}");
}

#[test]
fn threads_of_one_core_share_it() {
    let shared = Params {
        load: Load::Thread(0),
        cores: vec![0],
        ..params(model(), 1)
    };
    let turns_per_s = simulate(&shared).turns_per_s;
    assert!(is_near(turns_per_s, 1e9 / 6000.0, 0.05), "{turns_per_s}");
}

#[test]
fn only_the_load_preempts_when_it_is_woken() {
    // The first worker runs, and the second one and the load are woken on its core.
    for (load, running) in [(1, 0), (0, 2)] {
        let mut simulation = Simulation::new(Params {
            load: Load::Thread(load),
            cores: vec![0],
            ..params(model(), 2)
        });
        simulation.start();
        simulation.run_until(100);
        assert_eq!(simulation.cores[0].running, Some(running), "{load}");
    }
}
