/* A job over time: three charts on one cursor, drawn by uPlot in the colours of Flower's theme. */
"use strict";

(function (g) {
  const MOST = 720; // points, of which every other one goes when there are more
  const SMOOTH = 20; // seconds that a rate is taken over, at least
  const HEIGHT = 168;
  const RIBBON = 5; // pixels
  const BINDS = {
    requests: ["requests a minute", "--c-requests"],
    tokens: ["tokens a minute", "--c-tokens"],
    concurrent: ["calls in flight", "--c-concurrent"],
    pause: ["a pause after a 429", "--c-pause"],
    workers: ["workers", "--c-workers"],
  };
  g.binds = (name) => (name ? BINDS[name][0] : "nothing");

  const colour = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

  /** Columns that grow: what is appended begins after what there is. */
  function grown(columns, more) {
    if (!more || !more.at.length) return columns;
    if (!columns) return more;
    const last = columns.at[columns.at.length - 1];
    const from = more.at.findIndex((at) => at > last);
    if (from < 0) return columns;
    const both = {};
    for (const name of Object.keys(more)) both[name] = columns[name].concat(more[name].slice(from));
    if (both.at.length <= MOST) return both;
    const end = both.at.length - 1;
    for (const name of Object.keys(both)) both[name] = both[name].filter((_, k) => k % 2 === 0 || k === end);
    return both;
  }

  /** Growth a minute of a counter, over the last SMOOTH seconds before each moment or since the moment before. */
  function rates(at, counter) {
    let from = 0;
    return at.map((moment, k) => {
      if (k === 0) return null;
      while (from < k - 1 && at[from + 1] <= moment - SMOOTH) from += 1;
      return Math.max(0, (60 * (counter[k] - counter[from])) / (moment - at[from]));
    });
  }

  const CHARTS = {
    throughput: (columns) => {
      const { at, accepted, rejected, running } = columns.job;
      return {
        data: [at, rates(at, accepted), rates(at, rejected), running],
        series: [
          { label: "accepted", stroke: "--c-accepted", fill: true, value: g.rate },
          { label: "rejected", stroke: "--c-rejected", value: g.rate },
          { label: "in flight", stroke: "--c-running", scale: "calls", width: 1, dash: [3, 3], value: g.number },
        ],
        axes: [{ scale: "y", values: g.rate }],
        scales: { calls: { range: (u, low, high) => [0, Math.max(1, high) * 1.6] } },
      };
    },
    limits: (columns) => {
      const found = columns.model;
      const series = [], data = [found.at];
      for (const [name, label] of [["requests", "requests"], ["tokens", "tokens"], ["concurrent", "in flight"]]) {
        if (!found[name].some((share) => share !== null)) continue;
        data.push(found[name].map((share) => (share === null ? null : 100 * share)));
        series.push({ label, stroke: `--c-${name}`, value: (percent) => `${percent.toFixed(0)}%` });
      }
      data.push(found.binds.map(() => null));
      series.push({ label: "bound by", binds: found.binds });
      return {
        data, series,
        axes: [{ scale: "y", values: (percent) => `${percent}%` }],
        scales: { y: { range: (u, low, high) => [0, Math.max(105, high * 1.05)] } },
      };
    },
    money: (columns, job) => {
      const { at, cost, tokens } = columns.job;
      const data = [at, cost], series = [{ label: "cost", stroke: "--c-cost", fill: true, value: g.dollars }];
      if (job.budget_usd) {
        data.push(at.map(() => job.budget_usd));
        series.push({ label: "budget", stroke: "--c-budget", dash: [5, 4], value: g.dollars });
      }
      data.push(tokens);
      series.push({ label: "tokens", stroke: "--c-tokens", scale: "tokens", value: g.short });
      const most = Math.max(job.budget_usd || 0, cost[cost.length - 1] || 0);
      return {
        data, series,
        axes: [{ scale: "y", values: (usd) => axisDollars(usd, most) }, { scale: "tokens", side: 1, grid: { show: false }, values: g.short }],
        scales: { tokens: { range: (u, low, high) => [0, Math.max(1, high) * 1.1] } },
      };
    },
  };

  function axisDollars(usd, most) {
    return "$" + usd.toFixed(most >= 20 ? 0 : most >= 1 ? 2 : most >= 0.02 ? 3 : 5);
  }

  /** What calls waited for, in a ribbon under the curves. */
  function ribbon(figure, binds) {
    return (u) => {
      const { ctx } = u, scale = devicePixelRatio, bottom = u.bbox.top + u.bbox.height;
      for (let k = 1; k < binds.length; k += 1) {
        if (!binds[k]) continue;
        const left = u.valToPos(u.data[0][k - 1], "x", true), right = u.valToPos(u.data[0][k], "x", true);
        ctx.fillStyle = colour(figure, BINDS[binds[k]][1]);
        ctx.fillRect(left, bottom - RIBBON * scale, Math.max(1, right - left), RIBBON * scale);
      }
    };
  }

  function drawn(figure, plan, sync) {
    const ink = colour(figure, "--c-ink"), line = colour(figure, "--c-line"), font = "11px system-ui, sans-serif";
    const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const bound = plan.series.find((one) => one.binds);
    const series = plan.series.map((one) => {
      if (one.binds) {
        return { label: one.label, paths: () => null, points: { show: false }, value: (u, v, s, k) => g.binds(one.binds[k ?? one.binds.length - 1]) };
      }
      const stroke = colour(figure, one.stroke);
      return {
        label: one.label, stroke, width: one.width || 1.75, scale: one.scale || "y", dash: one.dash,
        fill: one.fill ? stroke + "22" : undefined, points: { show: false },
        value: (u, value) => (value === null || value === undefined ? "–" : one.value(value)),
      };
    });
    const chart = new uPlot(
      {
        width: figure.clientWidth, height: HEIGHT, padding: [8, plan.axes.length > 1 ? 0 : 26, 0, 0],
        cursor: { sync: { key: sync }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
        scales: { x: { time: true }, y: { range: (u, low, high) => [0, (high || 1) * 1.1] }, ...plan.scales },
        axes: [
          { ...axis, space: 70, grid: { show: false }, values: clock, size: 26 },
          ...plan.axes.map(({ values, ...more }) => ({ ...axis, size: 48, gap: 2, space: 34, ...more, values: (u, splits) => splits.map(values) })),
        ],
        series: [{ value: (u, at) => (at ? new Date(1000 * at).toLocaleTimeString([], { hour12: false }) : "–") }, ...series],
        hooks: {
          draw: bound ? [ribbon(figure, bound.binds)] : [],
          ready: [(u) => {
            // Where nothing points, the legend tells of the last moment.
            const rest = () => u.setLegend({ idx: u.data[0].length - 1 });
            u.over.addEventListener("mouseleave", () => setTimeout(rest));
            setTimeout(rest);
          }],
        },
      },
      plan.data,
      figure,
    );
    return chart;
  }

  function clock(u, splits, axis, space, step) {
    const long = step >= 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hour12: false };
    const form = step < 60 ? { ...long, second: "2-digit" } : long;
    return splits.map((at) => new Date(1000 * at).toLocaleString([], form));
  }

  /** The charts of one card; `update` takes what has come, `draw` draws it anew in the colours of the moment. */
  g.Charts = class {
    constructor(figures, sync) {
      this.figures = figures;
      this.sync = sync;
      this.columns = { job: null, model: null };
      this.drawings = new Map();
      new ResizeObserver(() => this.resize()).observe(figures[0]);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    get since() {
      const own = this.columns.job;
      return own ? own.at[own.at.length - 1] : "";
    }

    update(more, job) {
      this.columns = { job: grown(this.columns.job, more.job), model: grown(this.columns.model, more.model) };
      this.job = job;
      this.draw();
    }

    draw() {
      for (const figure of this.figures) {
        const name = figure.dataset.chart;
        const columns = name === "limits" ? this.columns.model : this.columns.job;
        if (!columns || columns.at.length < 2) continue;
        const before = this.drawings.get(figure), focus = before && before.cursor.idx;
        if (focus !== null && focus !== undefined && this.theme === document.documentElement.dataset.bsTheme) continue; // under the pointer
        if (before) before.destroy();
        this.drawings.set(figure, drawn(figure, CHARTS[name](this.columns, this.job), this.sync));
      }
      this.theme = document.documentElement.dataset.bsTheme;
    }

    resize() {
      for (const [figure, chart] of this.drawings) chart.setSize({ width: figure.clientWidth, height: HEIGHT });
    }
  };
})(genfleet);
