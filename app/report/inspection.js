// Draws the heat maps and the exponent histograms of the pages of doctor, advise and compare --inspect, and draws them again when
// the colour scheme or the width changes or a reader chooses something.
"use strict";

(() => {
  const { inspection } = JSON.parse(document.getElementById("results").textContent);
  if (!inspection) return;

  const FORMATS = [  // lowest subnormal, lowest normal and first exponent beyond the largest number
    { name: "fp16", tiny: -24, low: -14, high: 16, color: "slot-2" },
    { name: "bf16", tiny: -133, low: -126, high: 128, color: "slot-1" },
    { name: "e4m3", tiny: -9, low: -6, high: 9, color: "slot-3" },
    { name: "e5m2", tiny: -16, low: -14, high: 16, color: "slot-4" },
  ];
  const state = { pass: "forward", all: false, kind: "gradients", name: "all" };
  const raised = (exponent) => String(exponent).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  const percent = (share) => (share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function button(text, pressed, choose) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-pressed", pressed);
    made.addEventListener("click", () => {
      choose();
      draw();
    });
    return made;
  }

  // Shares from 0.01 % to 100 % on a logarithmic ramp: what is rare must show, too.
  const depth = (share) => (share <= 0 ? 0 : 0.15 + 0.85 * Math.min(1, Math.max(0, 1 + Math.log10(share) / 4)));

  function heatRows() {
    return inspection.heat.rows.filter(({ pass }) => pass === state.pass);
  }

  // Of a page about a fault, the columns from it on, unless a reader asks for all.
  function firstColumn() {
    const at = inspection.heat.steps.findIndex(([, last]) => last >= (inspection.from_step ?? 0));
    return state.all || at < 0 ? 0 : at;
  }

  function stepsOf(column) {
    const [first, last] = inspection.heat.steps[column];
    return first === last ? `step ${first}` : `steps ${first} to ${last}`;
  }

  function drawHeat(figure, kind) {
    const rows = heatRows();
    figure.hidden = !inspection.heat.rows.some((row) => row[kind]?.some((share) => share !== null));
    if (figure.hidden) return;
    figure.querySelector("[data-keys]").replaceChildren(
      ...["forward", "backward"].map((pass) =>
        button(`${pass} pass`, state.pass === pass, () => (state.pass = pass))));
    const first = firstColumn();
    if (first > 0 || state.all)
      figure.querySelector("[data-keys]").append(
        button("from the fault on", !state.all, () => (state.all = false)),
        button("all steps", state.all, () => (state.all = true)));
    const frame = figure.querySelector(".heat");
    const canvas = frame.querySelector("canvas");
    const columns = inspection.heat.steps.length - first;
    const width = Math.max(frame.clientWidth, 300);
    const height = rows.length > 40 ? 14 : 20;
    const names = rows.map(({ module }) => module || "(outside of a module)");
    const ratio = window.devicePixelRatio || 1;
    const brush = canvas.getContext("2d");
    brush.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const left = Math.min(width / 3, 14 + Math.max(0, ...names.map((name) => brush.measureText(name).width)));
    const wide = (width - left - 4) / Math.max(columns, 1);
    canvas.width = width * ratio;
    canvas.height = (rows.length * height + 24) * ratio;
    canvas.style.height = `${rows.length * height + 24}px`;
    brush.scale(ratio, ratio);
    brush.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    brush.textBaseline = "middle";
    const grid = color("grid"), ink = color("ink");
    const strong = color({ overflow: "slot-2", underflow: "slot-1", error: "slot-4" }[kind]);
    rows.forEach((row, y) => {
      brush.globalAlpha = 1;
      brush.fillStyle = ink;
      brush.fillText(names[y], 0, (y + 0.5) * height, left - 8);
      (row[kind] ?? []).forEach((share, at) => {
        const x = at - first;
        if (share === null || x < 0) return;
        const from = Math.round(left + x * wide), to = Math.round(left + (x + 1) * wide);
        const cell = [from, y * height + 1, Math.max(1, to - from), height - 2];
        brush.globalAlpha = 1;
        brush.fillStyle = grid;
        brush.fillRect(...cell);
        brush.globalAlpha = depth(share);
        brush.fillStyle = strong;
        brush.fillRect(...cell);
      });
    });
    brush.globalAlpha = 1;
    brush.fillStyle = color("muted");
    const base = rows.length * height + 13;
    brush.fillText(columns ? stepsOf(first) : "", left, base);
    if (columns > 1) {
      brush.textAlign = "right";
      brush.fillText(stepsOf(first + columns - 1), width - 4, base);
      brush.textAlign = "left";
    }
    tell(frame, canvas, (x, y) => {
      const column = first + Math.floor((x - left) / wide), row = rows[Math.floor(y / height)];
      if (!row?.[kind] || column < first || column >= first + columns || row[kind][column] === null) return "";
      return `${row.module || "outside of a module"}, ${stepsOf(column)}: ${percent(row[kind][column])}`;
    });
  }

  function tell(frame, canvas, words) {
    frame.querySelector(".tip")?.remove();
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    frame.append(tip);
    canvas.onmousemove = ({ offsetX, offsetY }) => {
      const text = words(offsetX, offsetY);
      tip.hidden = !text;
      tip.textContent = text;
      tip.style.top = `${offsetY + 14}px`;
      tip.style.left = `${Math.max(0, Math.min(offsetX + 10, frame.clientWidth - tip.offsetWidth - 4))}px`;
    };
    canvas.onmouseleave = () => (tip.hidden = true);
  }

  function chosenHistogram() {
    const ofKind = inspection.histograms.filter(({ kind }) => kind === state.kind);
    return ofKind.find(({ name }) => name === state.name) ?? ofKind[0];
  }

  function nameChoice() {
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Module or parameter");
    for (const { name } of inspection.histograms.filter(({ kind }) => kind === state.kind)) {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = name;
      option.selected = name === state.name;
      select.append(option);
    }
    select.addEventListener("change", () => {
      state.name = select.value;
      draw();
    });
    return select;
  }

  function drawHistogram(figure) {
    const kinds = ["activations", "gradients", "weights"].filter((kind) =>
      inspection.histograms.some((one) => one.kind === kind));
    figure.hidden = !kinds.length;
    if (figure.hidden) return;
    if (!kinds.includes(state.kind)) state.kind = kinds[0];
    figure.querySelector("[data-keys]").replaceChildren(
      ...kinds.map((kind) => button(kind, state.kind === kind, () => (state.kind = kind))), nameChoice());
    figure.querySelector(".exponents").replaceChildren(histogramPicture(chosenHistogram()));
  }

  function histogramPicture({ name, lowest, counts, zero, broken }) {
    const make = (tag, attributes, text) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      if (text !== undefined) element.textContent = text;
      return element;
    };
    const WIDTH = 1040, TOP = 112, HEIGHT = 220, LEFT = 72, LOWEST_SHARE = 1e-7;
    const from = Math.max(-80, Math.min(-30, lowest - 1));
    const to = Math.max(20, lowest + counts.length + 1);
    const x = (exponent) => LEFT + ((Math.min(Math.max(exponent, from), to) - from) / (to - from)) * (WIDTH - LEFT - 10);
    const total = counts.reduce((sum, count) => sum + count, 0) + zero + broken;
    const y = (share) => TOP + HEIGHT * Math.min(1, Math.log10(share) / Math.log10(LOWEST_SHARE));
    const picture = make("svg", { viewBox: `0 0 ${WIDTH} ${TOP + HEIGHT + 56}`, role: "img" });
    picture.append(make("title", {}, `Exponents of ${state.kind}: ${name}`));

    FORMATS.forEach(({ name: format, tiny, low, high, color: tone }, i) => {
      const at = 6 + i * 25;
      const fill = `var(--${tone})`;
      picture.append(
        make("rect", { x: x(tiny), y: at, width: x(high) - x(tiny), height: 15, fill, opacity: 0.3, rx: 3 }),
        make("rect", { x: x(low), y: at, width: x(high) - x(low), height: 15, fill, opacity: 0.85, rx: 3 }),
        make("text", { x: LEFT - 10, y: at + 12, "text-anchor": "end", fill: "var(--ink)" }, format),
        make("line", { x1: x(high), x2: x(high), y1: at, y2: TOP + HEIGHT, stroke: fill, "stroke-dasharray": "2 4", opacity: 0.7 }),
        make("line", { x1: x(tiny), x2: x(tiny), y1: at, y2: TOP + HEIGHT, stroke: fill, "stroke-dasharray": "2 4", opacity: 0.7 }));
    });
    for (const share of [1, 1e-2, 1e-4, 1e-6]) {
      picture.append(
        make("line", { x1: LEFT, x2: WIDTH - 10, y1: y(share), y2: y(share), stroke: "var(--grid)" }),
        make("text", { x: LEFT - 10, y: y(share) + 4, "text-anchor": "end", fill: "var(--muted)" }, `${Number((100 * share).toPrecision(1))} %`));
    }
    counts.forEach((count, i) => {
      const exponent = lowest + i;
      if (count === 0 || exponent < from || exponent >= to) return;
      const top = y(count / total);
      const bar = make("rect", {
        x: x(exponent) + 0.5, y: top, width: Math.max(1, x(exponent + 1) - x(exponent) - 1),
        height: Math.max(1, TOP + HEIGHT - top), fill: "var(--slot-0)", opacity: 0.75,
      });
      bar.append(make("title", {}, `2${raised(exponent)}: ${percent(count / total)}`));
      picture.append(bar);
    });
    for (let exponent = Math.ceil(from / 10) * 10; exponent < to - 1; exponent += 10) {
      picture.append(make("text", { x: x(exponent), y: TOP + HEIGHT + 18, "text-anchor": "middle", fill: "var(--muted)" },
        `2${raised(exponent)}`));
    }
    const zeros = total ? percent(zero / total) : "0 %";
    picture.append(make("text", { x: LEFT, y: TOP + HEIGHT + 44, fill: "var(--ink)" },
      `${total.toLocaleString("en-US")} numbers, ${zeros} of them zero` +
        (broken ? `, ${broken.toLocaleString("en-US")} infinite or not a number` : "")));
    return picture;
  }

  function draw() {
    for (const mark of document.querySelectorAll("[data-format]")) mark.textContent = inspection.format;
    for (const figure of document.querySelectorAll("[data-drawing]")) {
      if (figure.dataset.drawing === "histogram") drawHistogram(figure);
      else drawHeat(figure, figure.dataset.drawing);
    }
  }

  // Where something is to be seen: in the pass of the verdict, else in the one that loses more.
  function busiestPass() {
    const loss = (pass) => inspection.heat.rows.filter((row) => row.pass === pass)
      .flatMap(({ overflow, underflow }) => [...overflow, ...underflow])
      .reduce((sum, share) => sum + (share ?? 0), 0);
    return loss("backward") > loss("forward") ? "backward" : "forward";
  }
  state.pass = inspection.verdict_pass ?? busiestPass();
  if (state.pass === "forward") state.kind = "activations";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", draw);
  addEventListener("beforeprint", draw);
  draw();
  draw();  // now that figures are shown, their width is known
})();
