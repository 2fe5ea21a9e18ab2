"use strict";
// The statistics of the two listening tests: an exact binomial test, and a mean with its t interval.
(() => {
  const report = (window.report ??= {});

  /** P(at least `right` of `trials` by guessing): the sum of C(trials, k) / 2^trials over k = right ... trials. */
  function binomialTail(right, trials) {
    let term = 2 ** -trials; // C(trials, 0) / 2^trials
    let tail = 0;
    for (let k = 0; k <= trials; k++) {
      if (k >= right) tail += term;
      term *= (trials - k) / (k + 1);
    }
    return Math.min(1, tail);
  }

  function logGamma(x) {
    // Stirling's series, after x is raised to where it is exact to 1e-14.
    let shift = 0;
    for (; x < 12; x++) shift -= Math.log(x);
    const square = 1 / (x * x);
    const series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / x;
    return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
  }

  /** The regularised incomplete beta function, by Lentz's continued fraction (DLMF 8.17.22). */
  function incompleteBeta(x, a, b) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
    let c = 1;
    let d = 1 / (1 - ((a + b) * x) / (a + 1));
    let value = d;
    for (let m = 1; m < 300; m++) {
      const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + even * d);
      c = 1 + even / c;
      value *= c * d;
      const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / (1 + odd * d);
      c = 1 + odd / c;
      value *= c * d;
      if (Math.abs(c * d - 1) < 1e-15) break;
    }
    return front * value;
  }

  /** The t for which P(|T| <= t) = level, by bisection; T has `freedom` degrees of freedom. */
  function studentQuantile(freedom, level = 0.95) {
    const outside = (t) => incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
    let low = 0;
    let high = 1;
    while (outside(high) > 1 - level) high *= 2;
    for (let step = 0; step < 80; step++) {
      const middle = (low + high) / 2;
      if (outside(middle) > 1 - level) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  /** Mean and half the 95 % interval of the mean, t * s / sqrt(n); NaN with less than two values. */
  function meanInterval(values) {
    const count = values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    if (count < 2) return { count, mean, half: NaN };
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
    return { count, mean, half: studentQuantile(count - 1) * Math.sqrt(variance / count) };
  }

  report.statistics = Object.freeze({ binomialTail, studentQuantile, meanInterval });
})();
