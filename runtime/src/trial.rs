//! Whether a small call is faster on several threads than on one: measured, since no estimate can tell.
//!
//! That depends on how far apart the cores are (a word takes 70 to 400 nanoseconds to another one and back, and a
//! hypervisor changes that while a program runs), on what else they do, and on how soon calls follow each other. So
//! calls try both ways now and then, and do what took less. The split of work never changes the bits.

use std::time::{Duration, Instant};

/// How many calls are timed each way: their median decides.
const TIMED: usize = 7;
/// How many go before, untimed: others wake up, or caches fill.
const SETTLING: [usize; 2] = [1, 16];
/// Several threads must take at most this many tenths of the time.
const WORTH_WHILE: u32 = 9;
/// How many calls go by between two trials: at least, after another outcome than before, and at most; twice as many
/// each time that the outcome is the same.
const BETWEEN: [usize; 2] = [1 << 8, 1 << 14];

/// The times of the calls with one workspace.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Whether calls between trials use several threads.
    together: bool,
    /// How many calls until the next trial, and how many there were to be.
    until: usize,
    between: usize,
    /// How many calls of the current trial were made, alone and then together.
    made: usize,
    times: [Duration; TIMED],
    /// The median of those alone.
    alone: Duration,
}

impl Trial {
    /// Begins with a trial.
    pub fn new() -> Trial {
        let (none, between) = (Duration::ZERO, BETWEEN[0]);
        Trial { together: false, until: 0, between, made: 0, times: [none; TIMED], alone: none }
    }

    /// Makes a call, and says whether on several threads.
    pub fn run(&mut self, call: impl FnOnce(bool)) {
        if self.until > 0 {
            self.until -= 1;
            return call(self.together);
        }
        let together = self.is_alone_over();
        let start = Instant::now();
        call(together);
        self.record(together, start.elapsed());
    }

    /// Whether all calls of the current trial that are made alone were made.
    fn is_alone_over(&self) -> bool {
        self.made >= SETTLING[0] + TIMED
    }

    /// Takes the time of a call of the current trial.
    fn record(&mut self, together: bool, time: Duration) {
        let first = if together { SETTLING[0] + TIMED + SETTLING[1] } else { SETTLING[0] };
        if let Some(i) = self.made.checked_sub(first) {
            self.times[i] = time;
        }
        self.made += 1;
        if self.made < first + TIMED {
            return;
        }
        self.times.sort_unstable();
        let median = self.times[TIMED / 2];
        if !together {
            self.alone = median;
            return;
        }
        let is_faster = median * 10 <= self.alone * WORTH_WHILE;
        self.between = if is_faster == self.together { (2 * self.between).min(BETWEEN[1]) } else { BETWEEN[0] };
        (self.together, self.until, self.made) = (is_faster, self.between, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays calls that take `alone` microseconds alone and `together` together, and counts those on several threads.
    fn play(trial: &mut Trial, calls: usize, [alone, together]: [u64; 2]) -> usize {
        let mut several = 0;
        for _ in 0..calls {
            if trial.until > 0 {
                trial.run(|together| several += usize::from(together));
                continue;
            }
            let is_together = trial.is_alone_over();
            trial.record(is_together, Duration::from_micros(if is_together { together } else { alone }));
            several += usize::from(is_together);
        }
        several
    }

    #[test]
    fn what_takes_less_is_done() {
        let trial_calls = SETTLING.iter().sum::<usize>() + 2 * TIMED;
        let mut trial = Trial::new();
        let mut ways = Vec::new();
        (0..trial_calls).for_each(|_| trial.run(|together| ways.push(together)));
        let want = [vec![false; SETTLING[0] + TIMED], vec![true; SETTLING[1] + TIMED]].concat();
        assert_eq!(ways, want, "alone first, then together");
        let mut trial = Trial::new();
        assert_eq!(play(&mut trial, trial_calls, [10, 20]), SETTLING[1] + TIMED);
        assert_eq!(play(&mut trial, 2 * BETWEEN[0], [10, 20]), 0);
        // a machine whose cores have come closer: from the next trial on
        play(&mut trial, trial_calls, [10, 8]);
        assert_eq!(play(&mut trial, BETWEEN[0], [10, 8]), BETWEEN[0]);
        // in the long run trials take a small part of the calls
        play(&mut trial, 1 << 16, [10, 8]);
        assert!(play(&mut trial, 1 << 17, [10, 8]) > (1 << 17) - (1 << 10));
        // too little to bother others
        play(&mut trial, 1 << 15, [100, 95]);
        assert_eq!(play(&mut trial, BETWEEN[0], [100, 95]), 0);
    }

    /// One call that was interrupted decides nothing.
    #[test]
    fn interruptions_do_not_count() {
        let mut trial = Trial::new();
        while trial.until == 0 {
            let is_together = trial.is_alone_over();
            let time = if trial.made % TIMED == 3 {
                5000
            } else if is_together {
                6
            } else {
                10
            };
            trial.record(is_together, Duration::from_micros(time));
        }
        assert!(trial.together);
    }
}
