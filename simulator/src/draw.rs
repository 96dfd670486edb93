//! Chance: a seeded source of it, and the laws that scenarios name.

use rillcast_core::rng::Rng;
use serde::Deserialize;

/// Random numbers that follow from a seed.
#[derive(Debug)]
pub(crate) struct Draw(Rng);

impl Draw {
    /// All that follows depends on `seed` alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// Uniform in (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.0.draw() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Uniform below `n`, which isn't 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// A seed for somebody else.
    pub(crate) fn seed(&mut self) -> u64 {
        self.0.draw()
    }
}

/// A distribution, spelled out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Law {
    /// Always the same.
    Fixed {
        /// This.
        value: f64,
    },
    /// Any value between two, alike.
    Uniform {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// Its logarithm is normal.
    LogNormal {
        /// Half lie below.
        median: f64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// Waiting times without memory.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// Heavy-tailed: few are very large.
    Pareto {
        /// The least.
        min: f64,
        /// Tail index; at 1 or less there is no mean.
        shape: f64,
    },
}

impl Law {
    /// One value.
    pub(crate) fn draw(&self, draw: &mut Draw) -> f64 {
        match *self {
            Self::Fixed { value } => value,
            Self::Uniform { min, max } => min + (max - min) * draw.unit(),
            Self::LogNormal { median, sigma } => median * (sigma * draw.normal()).exp(),
            Self::Exponential { mean } => -mean * draw.unit().ln(),
            Self::Pareto { min, shape } => min / draw.unit().powf(1.0 / shape),
        }
    }

    /// What is wrong with its numbers, if anything is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let good = |x: f64| x.is_finite() && x > 0.0;
        match *self {
            Self::Fixed { value } => (!good(value)).then_some("value must be above 0"),
            Self::Uniform { min, max } => {
                (!(min.is_finite() && min >= 0.0 && max > min)).then_some("min must be below max")
            }
            Self::LogNormal { median, sigma } => {
                (!(good(median) && (0.0..=5.0).contains(&sigma))).then_some("median above 0, sigma 0 to 5")
            }
            Self::Exponential { mean } => (!good(mean)).then_some("mean must be above 0"),
            Self::Pareto { min, shape } => {
                (!(good(min) && good(shape))).then_some("min and shape must be above 0")
            }
        }
    }
}

/// Two samples of `n`, put together such that their ranks have this correlation (Spearman's, by a Gaussian copula).
pub(crate) fn paired(a: &Law, b: &Law, correlation: f64, n: usize, draw: &mut Draw) -> Vec<(f64, f64)> {
    let mut sorted = |law: &Law| {
        let mut values: Vec<f64> = (0..n).map(|_| law.draw(draw)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (first, second) = (sorted(a), sorted(b));
    // What Pearson's must be for the normals behind, so that the ranks come out right.
    let pearson = 2.0 * (std::f64::consts::PI * correlation / 6.0).sin();
    let normals: Vec<(f64, f64)> = (0..n)
        .map(|_| {
            let x = draw.normal();
            (x, pearson * x + (1.0 - pearson * pearson).max(0.0).sqrt() * draw.normal())
        })
        .collect();
    let ranks = |of: fn(&(f64, f64)) -> f64| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|x, y| of(&normals[*x]).total_cmp(&of(&normals[*y])));
        let mut rank = vec![0; n];
        order.into_iter().enumerate().for_each(|(r, at)| rank[at] = r);
        rank
    };
    ranks(|p| p.0).into_iter().zip(ranks(|p| p.1)).map(|(x, y)| (first[x], second[y])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(law: &Law) -> f64 {
        let mut draw = Draw::new(1);
        (0..40_000).map(|_| law.draw(&mut draw)).sum::<f64>() / 40_000.0
    }

    #[test]
    fn laws_have_the_means_that_they_should() {
        for (law, expected) in [
            (Law::Fixed { value: 3.0 }, 3.0),
            (Law::Uniform { min: 1.0, max: 3.0 }, 2.0),
            (Law::LogNormal { median: 1.0, sigma: 0.5 }, 0.125_f64.exp()),
            (Law::Exponential { mean: 7.0 }, 7.0),
            (Law::Pareto { min: 1.0, shape: 3.0 }, 1.5),
        ] {
            let seen = mean(&law);
            assert!((seen / expected - 1.0).abs() < 0.03, "{law:?}: {seen} instead of {expected}");
        }
    }

    #[test]
    fn ranks_correlate_as_told() {
        let law = Law::LogNormal { median: 1.0, sigma: 1.0 };
        for told in [0.0, 0.5, 1.0] {
            let pairs = paired(&law, &law, told, 4000, &mut Draw::new(2));
            let rank = |of: fn(&(f64, f64)) -> f64| {
                let mut order: Vec<usize> = (0..pairs.len()).collect();
                order.sort_by(|x, y| of(&pairs[*x]).total_cmp(&of(&pairs[*y])));
                let mut rank = vec![0.0; pairs.len()];
                order.into_iter().enumerate().for_each(|(r, at)| rank[at] = r as f64);
                rank
            };
            let (a, b, n) = (rank(|p| p.0), rank(|p| p.1), pairs.len() as f64);
            let d: f64 = a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum();
            let spearman = 1.0 - 6.0 * d / (n * (n * n - 1.0));
            assert!((spearman - told).abs() < 0.04, "{spearman} instead of {told}");
        }
    }
}
