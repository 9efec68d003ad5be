// The charts with training steps along x: functions from the series (one per precision, with its runs) and
// the theme (colours) to {chart: a Chart.js configuration, ...}, or to null where no run has the data.
"use strict";

const AmpersandCurves = (() => {
  const { number, known, mean, grouped, short, tickText, axisTitle, lineStyle } = AmpersandPlot;

  // The points {x: step, y} of one run at which `read` finds a number in the history.
  function curve(run, read) {
    const history = Array.isArray(run.history) ? run.history.filter((entry) => entry instanceof Object) : [];
    return history
      .map((entry) => ({ x: number(entry.step), y: read(entry) }))
      .filter(({ x, y }) => known(x) && known(y));
  }

  // Lowest, mean and highest y of several curves, at each step at which all that reach it have a point.
  function envelope(curves) {
    const atStep = new Map();
    for (const { x, y } of curves.flat()) atStep.set(x, [...(atStep.get(x) ?? []), y]);
    const reaching = (x) => curves.filter((points) => points.length && points.at(-1).x >= x).length;
    const steps = [...atStep]
      .filter(([x, ys]) => ys.length >= reaching(x))
      .sort(([left], [right]) => left - right);
    const along = (pick) => thinned(steps.map(([x, ys]) => ({ x, y: pick(ys) })));
    return {
      low: along((ys) => Math.min(...ys)),
      middle: along(mean),
      high: along((ys) => Math.max(...ys)),
    };
  }

  // Long runs are noisy and slow to draw: past 500 points, each of at most 400 is the mean of its neighbours.
  function thinned(points) {
    if (points.length <= 500) return points;
    const size = Math.ceil(points.length / 400);
    const groups = [];
    for (let i = 0; i < points.length; i += size) groups.push(points.slice(i, i + size));
    return groups.map((group) => ({ x: group.at(-1).x, y: mean(group.map(({ y }) => y)) }));
  }

  // The band from the lowest to the highest seed: two invisible lines, the space between them filled.
  function band({ low, high }, style) {
    const edge = {
      precision: style.precision,
      order: 90,
      borderWidth: 0,
      pointRadius: 0,
      pointHoverRadius: 0,
      backgroundColor: `${style.borderColor}24`,
    };
    return [{ ...edge, data: low, fill: false }, { ...edge, data: high, fill: "-1" }];
  }

  // Crosses where diverged runs had their last value.
  function divergences(one, curves, style) {
    const last = (run, i) => (run.diverged === true ? curves[i].at(-1) : undefined);
    return {
      ...style,
      label: `${one.precision}, last value before it diverged`,
      data: one.runs.map(last).filter(Boolean),
      showLine: false,
      order: 0,
      pointStyle: "crossRot",
      pointRadius: 8,
      pointHoverRadius: 9,
      pointBorderWidth: 3,
    };
  }

  // Mean line, band and crosses of every precision that has such a value. `markers` sets the size of points.
  function lines(series, theme, read, markers) {
    return series.flatMap((one) => {
      const curves = one.runs.map((run) => curve(run, read));
      const shape = envelope(curves);
      if (!shape.middle.length) return [];
      const style = lineStyle(one, theme);
      return [
        ...(curves.length > 1 ? band(shape, style) : []),
        { ...style, ...markers(one), label: one.precision, data: shape.middle },
        divergences(one, curves, style),
      ];
    });
  }

  const tooltip = (show) => ({
    filter: ({ dataset }) => Boolean(dataset.label),
    itemSort: (left, right) => left.datasetIndex - right.datasetIndex,
    callbacks: {
      title: ([first]) => (first ? `Step ${grouped(first.parsed.x)}` : ""),
      label: ({ dataset, parsed }) => `${dataset.label}: ${show(parsed.y)}`,
      labelPointStyle: ({ dataset: { pointStyle, pointRotation } }) =>
        ({ pointStyle, rotation: pointRotation ?? 0 }),
    },
    usePointStyle: true,
  });

  // The frame of all three: steps along x, a y axis, and no animation, so that a print is never half drawn.
  function lineChart(datasets, y, show) {
    const steps = datasets.flatMap(({ data }) => data.map(({ x }) => x));
    const x = {
      type: "linear",
      min: 0,
      max: steps.reduce((left, right) => Math.max(left, right)),
      title: axisTitle("Training step"),
      ticks: {
        precision: 0,  // there are no fractions of a step
        maxRotation: 0,
        maxTicksLimit: 8,
        autoSkipPadding: 12,
        callback: (value) => grouped(value),
      },
    };
    return {
      type: "line",
      data: { datasets: datasets.map((dataset) => ({ clip: 10, ...dataset })) },  // whole markers at the edge
      options: {
        animation: false,
        maintainAspectRatio: false,
        parsing: false,
        normalized: true,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x, y },
        plugins: { legend: { display: false }, tooltip: tooltip(show) },
      },
    };
  }

  // Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, or at the powers alone where it is long.
  function logTicks(axis) {
    const factors = axis.max / axis.min > 1000 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(Math.log10(axis.min)); power <= Math.log10(axis.max); ++power) {
      ticks.push(...factors.map((factor) => ({ value: factor * 10 ** power })));
    }
    const inside = ticks.filter(({ value }) => value >= axis.min && value <= axis.max);
    if (inside.length >= 2) axis.ticks = inside;  // else the chart's own tell more
  }

  // Eight markers along a line, shifted per slot, so that equal lines show theirs side by side.
  const sparseMarkers = ({ slot }) => ({
    pointRadius({ dataIndex, dataset: { data } }) {
      const shift = (slot % 4) / 4 + (slot % 8 < 4 ? 0 : 1 / 8);
      const eighth = (i) => Math.floor((8 * data[i].x) / data.at(-1).x - shift);
      return dataIndex > 0 && eighth(dataIndex) !== eighth(dataIndex - 1) ? 4 : 0;
    },
  });

  // Markers that nest inside each other where values are equal.
  const nestedMarkers = ({ slot }) => ({ pointRadius: 8.5 - 1.7 * Math.min(slot, 3) });

  // `logarithmic`: what the reader chose for y, or null for the default, which depends on the range.
  function trainLoss(series, theme, { logarithmic }) {
    const datasets = lines(series, theme, (entry) => number(entry.train_loss), sparseMarkers);
    if (!datasets.length) return null;
    const losses = datasets.flatMap(({ data }) => data.map((point) => point.y));
    const low = losses.reduce((left, right) => Math.min(left, right));
    const high = losses.reduce((left, right) => Math.max(left, right));
    const switchable = low > 0;
    const log = switchable && (logarithmic ?? high / low > 20);
    const y = log
      ? { type: "logarithmic", min: low * 0.9, max: high * 1.1, afterBuildTicks: logTicks }
      : { type: "linear", beginAtZero: true };
    y.ticks = { callback: log ? short : tickText };
    y.title = axisTitle(log ? "Train loss (logarithmic)" : "Train loss");
    return { chart: lineChart(datasets, y, short), switchable, logarithmic: log };
  }

  // measure: what precisions are compared by, as results.json has it; a share is told in percent.
  function quality(series, theme, { measure }) {
    const isShare = measure.kind === "share";
    const read = (entry) => (isShare ? 100 : 1) * number(entry[measure.key]);
    const datasets = lines(series, theme, read, nestedMarkers);
    if (!datasets.length) return null;
    const title = axisTitle(`Test ${measure.name}${isShare ? " (%)" : ""}`);
    const y = { grace: "8%", ticks: { callback: tickText }, title };
    if (measure.kind === "positive") {
      const values = datasets.flatMap(({ data }) => data.map((point) => point.y)).filter(known);
      const high = Math.max(...values), low = Math.min(...values);
      // A run that departs would press the others into one line.
      if (high / low > 5) {
        Object.assign(y, { type: "logarithmic", afterBuildTicks: logTicks, grace: undefined });
        y.ticks = { callback: short };
      }
    }
    const show = (value) => grouped(value, 2) + (isShare ? " %" : "");
    return { chart: lineChart(datasets, y, show) };
  }

  // What fp16 loses of the gradients at the loss scale of the run, as `--gradient-range` measures it.
  function gradientsLost(series, theme) {
    const measured = (run) => ({ ...run, history: run.gradients?.history });
    const runs = series.map((one) => ({ ...one, runs: one.runs.map(measured) }));
    const read = (entry) => 100 * number(entry.activations?.lost_scaled);
    const datasets = lines(runs, theme, read, nestedMarkers);
    if (!datasets.length) return null;
    const y = { min: 0, suggestedMax: 10, ticks: { callback: tickText }, title: axisTitle("Gradients lost (%)") };
    return { chart: lineChart(datasets, y, (value) => `${grouped(value, 2)} %`) };
  }

  function powerOfTwo(exponent) {
    const raised = String(exponent).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
    return `2${raised.replace("-", "⁻")}`;
  }

  // Triangles at the skipped steps, at the height of the last scale recorded by then, or else of the first.
  function skips(run, points, style, theme) {
    const steps = Array.isArray(run.skipped_at) ? run.skipped_at.map(number).filter(known) : [];
    const height = (step) => (points.filter(({ x }) => x <= step).at(-1) ?? points[0]).y;
    return {
      ...style,
      label: `${style.label}, skipped a step`,
      data: steps.map((x) => ({ x, y: height(x) })),
      showLine: false,
      order: 0,
      pointStyle: "triangle",
      pointRotation: 180,
      pointRadius: 7,
      pointHoverRadius: 8,
      pointBackgroundColor: style.borderColor,
      pointBorderColor: theme.surface,
      pointBorderWidth: 1.5,
    };
  }

  function scaleOfRun(one, run, theme) {
    const points = curve(run, (entry) => (entry.scale > 0 ? Math.log2(number(entry.scale)) : NaN));
    if (!points.length || run.loss_scaling === "none") return [];
    const changes = points.filter(({ y }, i) => i === 0 || i === points.length - 1 || y !== points[i - 1].y);
    const label = one.runs.length > 1 ? `${one.precision}, seed ${run.seed ?? "unknown"}` : one.precision;
    const style = { ...lineStyle(one, theme), label, borderWidth: 2.5 };
    return [{ ...style, data: changes, stepped: true, pointRadius: 0 }, skips(run, points, style, theme)];
  }

  function lossScale(series, theme) {
    const datasets = series.flatMap((one) => one.runs.flatMap((run) => scaleOfRun(one, run, theme)));
    if (!datasets.length) return null;
    const exponents = datasets.flatMap(({ data }) => data.map((point) => point.y));
    const y = {
      min: Math.floor(exponents.reduce((left, right) => Math.min(left, right))) - 1,
      max: Math.ceil(exponents.reduce((left, right) => Math.max(left, right))) + 1,
      ticks: { precision: 0, maxTicksLimit: 10, includeBounds: false, callback: powerOfTwo },
      title: axisTitle("Loss scale (powers of two)"),
    };
    return { chart: lineChart(datasets, y, (value) => grouped(2 ** value)) };
  }

  return { trainLoss, quality, gradientsLost, lossScale };
})();
