//! The inputs that the peers make with `numpy.random.RandomState(0)`, number by number.

/// The Mersenne twister MT19937 (Matsumoto and Nishimura 1998).
pub struct RandomState {
    state: [u32; Self::SIZE],
    next: usize,
}

impl RandomState {
    const SIZE: usize = 624;

    pub fn new(seed: u32) -> Self {
        let mut state = [seed; Self::SIZE];
        for i in 1..Self::SIZE {
            let before = state[i - 1];
            state[i] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        RandomState { state, next: Self::SIZE }
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::SIZE {
            for i in 0..Self::SIZE {
                let joined = self.state[i] & 0x8000_0000 | self.state[(i + 1) % Self::SIZE] & 0x7fff_ffff;
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + 397) % Self::SIZE] ^ joined >> 1 ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// `rand(count)` as `f32`.
    pub fn rand(&mut self, count: usize) -> Vec<f32> {
        let mut one = || {
            let (high, low) = (u64::from(self.word() >> 5), u64::from(self.word() >> 6));
            (high << 26 | low) as f64 / (1_u64 << 53) as f64
        };
        (0..count).map(|_| one() as f32).collect()
    }

    /// `randint(0, bound, count)`.
    pub fn randint(&mut self, bound: u32, count: usize) -> Vec<u32> {
        let mask = bound.next_power_of_two() - 1;
        let mut one = || loop {
            let word = self.word() & mask;
            if word < bound {
                return word;
            }
        };
        (0..count).map(|_| one()).collect()
    }
}
