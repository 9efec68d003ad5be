// The charts with a horizontal bar per precision: speed and memory. As curves.js, each returns
// {chart: a Chart.js configuration, ...}, or null where no run has the data.
"use strict";

const AmpersandBars = (() => {
  const { look, number, known, meanOf, grouped, amount, tickText, axisTitle } = AmpersandPlot;
  const PARTS = [
    ["weights", "Weights"],
    ["copies", "Low-precision copies"],
    ["masters", "Master weights"],
    ["gradients", "Gradients"],
    ["optimizer", "Optimizer state"],
    ["activations", "Activations"],
    ["other", "Other"],
  ];

  // Writes a text at the end of each bar.
  const endLabels = {
    id: "endLabels",
    afterDatasetsDraw(chart, _, { texts, color, font }) {
      const bars = chart.data.datasets.map((_, set) => chart.getDatasetMeta(set).data);
      Object.assign(chart.ctx, { font, fillStyle: color, textAlign: "left", textBaseline: "middle" });
      texts.forEach((text, i) => {
        const ends = bars.map((row) => row[i]?.x).filter(Number.isFinite);
        if (ends.length) chart.ctx.fillText(text, Math.max(...ends) + 7, bars[0][i].y);
      });
    },
  };

  function widest(texts, font) {
    const ruler = document.createElement("canvas").getContext("2d");
    ruler.font = font;
    return Math.max(...texts.map((text) => ruler.measureText(text).width));
  }

  function barChart(shown, datasets, { texts, unit, label, theme }) {
    const font = `600 13px ${theme.font}`;
    const x = {
      stacked: true,
      beginAtZero: true,
      title: axisTitle(unit),
      ticks: { maxRotation: 0, maxTicksLimit: 6, autoSkipPadding: 12, callback: tickText },
    };
    return {
      type: "bar",
      data: { labels: shown.map(({ precision }) => precision), datasets },
      plugins: [endLabels],
      options: {
        indexAxis: "y",
        animation: false,
        maintainAspectRatio: false,
        layout: { padding: { right: widest(texts, font) + 12 } },  // room for the labels
        interaction: { mode: "index", axis: "y", intersect: false },
        scales: { x, y: { stacked: true, grid: { display: false }, ticks: { color: theme.ink } } },
        plugins: {
          legend: { display: false },
          tooltip: { callbacks: { label } },
          endLabels: { texts, color: theme.ink, font },
        },
      },
    };
  }

  function speed(series, theme) {
    const speedOf = ({ runs }) => meanOf(runs, (run) => number(run.samples_per_second));
    const shown = series.filter((one) => known(speedOf(one)));
    if (!shown.length) return null;
    const fp32 = shown.find(({ precision }) => precision === "fp32");
    const times = (one) => (fp32 && one !== fp32 ? ` · ${(speedOf(one) / speedOf(fp32)).toFixed(2)}×` : "");
    const data = shown.map(speedOf);
    const colors = shown.map(({ slot }) => theme.slots[look(slot).color]);
    const chart = barChart(shown, [{ data, backgroundColor: colors, borderRadius: 3, barPercentage: 0.72 }], {
      texts: shown.map((one) => amount(speedOf(one)) + times(one)),
      unit: "Samples per second",
      label: ({ parsed }) => `${grouped(parsed.x, 1)} samples/s`,
      theme,
    });
    return { chart, bars: shown.length };
  }

  function memory(series, theme) {
    const megabytes = ({ runs }, part) => meanOf(runs, (run) => number(run.memory?.[part]) / 1e6);
    const parts = PARTS.filter(([part]) => series.some((one) => megabytes(one, part) > 0));
    const shown = series.filter((one) => parts.some(([part]) => known(megabytes(one, part))));
    if (!shown.length) return null;
    const color = (part) => theme.parts[PARTS.findIndex(([key]) => key === part)];
    const datasets = parts.map(([part, name]) => ({
      label: name,
      data: shown.map((one) => megabytes(one, part)),
      backgroundColor: color(part),
      barPercentage: 0.72,
    }));
    const total = (_, i) => {
      const sizes = datasets.map(({ data }) => data[i]).filter(known);
      return sizes.reduce((sum, size) => sum + size, 0);
    };
    const chart = barChart(shown, datasets, {
      texts: shown.map(total).map((value) => `${amount(value)} MB`),
      unit: "MB",
      label: ({ dataset, parsed }) => `${dataset.label}: ${amount(parsed.x)} MB`,
      theme,
    });
    const keys = datasets.map(({ label, backgroundColor }) => [label, backgroundColor]);
    return { chart, bars: shown.length, keys };
  }

  return { speed, memory };
})();
