// Places the charts of the report: gives each precision its colour and marker, writes the keys above the
// charts, and draws again when the colour scheme changes, a reader chooses something or the page is printed.
"use strict";

(() => {
  const BUILDERS = { ...AmpersandCurves, ...AmpersandBars };
  const { COLORS, look } = AmpersandPlot;
  const USUAL = ["fp32", "bf16", "fp16", "fp16-unscaled"];  // these have the same slot in every report
  const PARTS = 7;

  const { runs } = JSON.parse(document.getElementById("results").textContent);
  const measure = JSON.parse(document.querySelector("[data-measure]").dataset.measure);
  const state = { hidden: new Set(), logarithmic: null, measure };
  let charts = [];

  // One entry per precision, in order of appearance.
  function groupRuns() {
    const groups = new Map();
    for (const run of runs) groups.set(run.precision, [...(groups.get(run.precision) ?? []), run]);
    let next = USUAL.length;
    return [...groups].map(([precision, members]) => {
      const usual = USUAL.indexOf(precision);
      return { precision, runs: members, slot: usual < 0 ? next++ : usual };
    });
  }
  const series = groupRuns();

  function readTheme() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      ink: color("ink"),
      muted: color("muted"),
      grid: color("grid"),
      surface: color("surface"),
      font: getComputedStyle(document.body).fontFamily,
      slots: Array.from({ length: COLORS }, (_, i) => color(`slot-${i}`)),
      parts: Array.from({ length: PARTS }, (_, i) => color(`part-${i}`)),
    };
  }

  // A piece of a precision's line with its marker, as in the charts.
  function swatch(slot) {
    const { color, dash, width, shape, filled } = look(slot);
    const marker = {
      circle: "M19 7a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
      rect: "M19.5 3.5h7v7h-7z",
      triangle: "M23 2.4l4.6 8h-9.2z",
      rectRot: "M23 2l5 5-5 5-5-5z",
    }[shape];
    const template = document.createElement("template");
    template.innerHTML = `<svg width="46" height="14" aria-hidden="true"
        fill="var(--${filled ? `slot-${color}` : "surface"})" stroke="var(--slot-${color})">
        <path d="M0 7H46" stroke-width="${width}" stroke-dasharray="${dash.join(" ")}"/>
        <path d="${marker}" stroke-width="2"/></svg>`;
    return template.content.firstChild;
  }

  function button(text, choose) {
    const made = document.createElement("button");
    made.type = "button";
    made.append(text);
    made.addEventListener("click", () => {
      const bar = made.parentElement;
      const place = [...bar.children].indexOf(made);
      choose();
      draw();
      bar.children[place]?.focus();  // drawing replaced the button
    });
    return made;
  }

  // A key that shows or hides its precision in all charts with lines.
  function lineKey({ precision, slot }) {
    const shown = !state.hidden.has(precision);
    const toggle = () => (shown ? state.hidden.add(precision) : state.hidden.delete(precision));
    const key = button(precision, toggle);
    key.setAttribute("aria-pressed", shown);
    key.title = shown ? "Hide in the charts with lines" : "Show in the charts with lines";
    key.prepend(swatch(slot));
    return key;
  }

  function partKey([name, color]) {
    const key = document.createElement("span");
    const patch = document.createElement("i");
    key.className = "key";
    patch.style.background = color;
    key.append(patch, name);
    return key;
  }

  function axisSwitch(logarithmic) {
    const toggle = () => (state.logarithmic = !logarithmic);
    const made = button(logarithmic ? "Linear axis" : "Logarithmic axis", toggle);
    made.className = "scale";
    return made;
  }

  // The row of keys between a chart's heading and the chart.
  function keysOf(built) {
    if (built.keys) return built.keys.map(partKey);
    if (built.bars) return [];
    const drawn = new Set(built.chart.data.datasets.map(({ precision }) => precision));
    const keys = series.filter(({ precision }) => drawn.has(precision)).map(lineKey);
    return built.switchable ? [...keys, axisSwitch(built.logarithmic)] : keys;
  }

  function drawFigure(figure, theme) {
    const built = BUILDERS[figure.dataset.chart](series, theme, state);
    figure.hidden = !built;
    if (!built) return;
    const frame = figure.querySelector(".canvas");
    const bar = figure.querySelector(".bar") ?? document.createElement("div");
    bar.className = "bar";
    bar.replaceChildren(...keysOf(built));
    frame.before(bar);
    if (built.bars) frame.style.height = `${70 + 46 * built.bars}px`;
    for (const dataset of built.chart.data.datasets) dataset.hidden = state.hidden.has(dataset.precision);
    charts.push(new Chart(frame.querySelector("canvas"), built.chart));
  }

  function draw() {
    charts.forEach((chart) => chart.destroy());
    charts = [];
    const theme = readTheme();
    Object.assign(Chart.defaults, { color: theme.muted, borderColor: theme.grid });
    Object.assign(Chart.defaults.font, { family: theme.font, size: 13 });
    document.querySelectorAll("figure[data-chart]").forEach((figure) => drawFigure(figure, theme));
    document.querySelector(".charts").closest("section").hidden = !charts.length;
  }

  function printing(begins) {
    if (begins) document.documentElement.dataset.theme = "light";
    else delete document.documentElement.dataset.theme;
    draw();
  }

  for (const head of document.querySelectorAll("th[data-precision]")) {
    const one = series.find(({ precision }) => precision === head.dataset.precision);
    if (one) head.prepend(swatch(one.slot));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  draw();
})();
