/* One job on a page: built once from the template, then kept up to date. */
"use strict";

(function (g) {
  const SERIES_EVERY = 4500; // milliseconds: as often as the ledger takes readings

  g.badge = (element, state) => {
    element.className = `badge is-${state}`;
    g.text(element, state);
  };

  g.bar = (bar, job) => {
    for (const [name, count] of [["accepted", job.accepted], ["rejected", job.rejected], ["running", job.running]]) {
      bar.querySelector(`.bar-${name}`).style.width = `${(100 * count) / Math.max(1, job.total)}%`;
    }
    const settled = job.accepted + job.rejected;
    bar.setAttribute("aria-valuemax", job.total);
    bar.setAttribute("aria-valuenow", settled);
    bar.setAttribute("aria-label", `${g.number(settled)} of ${g.number(job.total)} settled`);
  };

  const small = (said) => g.el("small", {}, said);

  /** A figure with what belongs to it in small. */
  function fact(element, main, ...more) {
    const said = [main, ...more.filter(Boolean)];
    if (element.dataset.said === said.join("|")) return;
    element.dataset.said = said.join("|");
    element.replaceChildren(main, ...more.filter(Boolean).map(small));
  }

  g.Card = class {
    constructor(base, job) {
      this.base = `${base}/${encodeURIComponent(job)}`;
      this.root = document.getElementById("card").content.firstElementChild.cloneNode(true);
      this.root.dataset.job = job;
      this.root.id = `job-${job}`;
      const link = this.root.querySelector("[data-link]");
      link.href = this.base;
      link.textContent = job;
      const tasks = document.querySelector("[data-tasks]").dataset.tasks;
      this.root.querySelector("a[data-tasks]").href = `${tasks}?state=FAILURE`;
      this.charts = null;
      this.causes = new Map();
      this.asked = -Infinity;
    }

    field(name) {
      return this.root.querySelector(`[data-f="${name}"]`);
    }

    update(job) {
      this.job = job;
      for (const name of ["accepted", "rejected", "running", "waiting", "total", "failed"]) g.text(this.field(name), g.number(job[name]));
      g.text(this.field("recipe"), job.recipe.replaceAll(",", ", "));
      g.text(this.field("model"), job.model);
      g.text(this.field("percent"), g.percent(Math.floor((1000 * (job.accepted + job.rejected)) / job.total) / 1000, 1));
      this.root.querySelector(".is-failed").hidden = !job.failed;
      g.badge(this.field("state"), job.state);
      g.text(this.field("note"), job.note || "");
      this.field("note").hidden = !job.note;
      g.bar(this.root.querySelector("[data-bar]"), job);
      this.facts(job);
      this.showCauses(job.causes || []);
      this.askSeries();
    }

    facts(job) {
      fact(this.field("per_minute"), job.state === "running" ? `${g.rate(job.per_minute)}/min` : "—");
      fact(this.field("run_per_minute"), `${g.rate(job.run_per_minute)}/min`);
      const done = job.accepted + job.rejected === job.total;
      g.text(this.field("left").previousElementSibling, done ? "Took" : "Time left");
      fact(this.field("left"), ...(done ? [g.span(job.seconds)] : job.left ? g.left(job.left) : ["—"]));
      fact(this.field("cost"), g.dollars(job.cost_usd), this.budget(job), this.expected(job), job.unknown_usd ? `${g.dollars(job.unknown_usd)} unknown` : null);
      const cached = job.cached_tokens ? `, ${g.short(job.cached_tokens)} cached` : "";
      fact(this.field("tokens"), g.short(job.prompt_tokens + job.completion_tokens), `${g.short(job.prompt_tokens)} in${cached}, ${g.short(job.completion_tokens)} out`);
      fact(this.field("binds"), job.binds ? g.binds(job.binds) : "nothing");
      this.field("binds").parentElement.hidden = job.state !== "running";
    }

    budget(job) {
      if (!job.budget_usd) return null;
      const enough = job.forecast && job.forecast.examples;
      const ends = job.budget_left && job.budget_left[1] !== null ? `, for ${g.about(job.budget_left[1])} more` : "";
      return `of ${g.dollars(job.budget_usd)}${enough ? `: pays for about ${g.number(enough)}${ends}` : ""}`;
    }

    expected(job) {
      if (!job.forecast || job.accepted + job.rejected === job.total) return null;
      const pace = job.usd_per_hour ? `, ${g.dollars(job.usd_per_hour)} an hour` : "";
      return `about ${g.dollars(job.forecast.cost_usd)} for all${pace}`;
    }

    showCauses(causes) {
      const section = this.root.querySelector("[data-causes]"), list = section.querySelector("ul");
      section.hidden = !causes.length;
      const seen = new Set(causes.map((one) => one.cause));
      for (const [cause, item] of this.causes) {
        if (!seen.has(cause)) {
          item.remove();
          this.causes.delete(cause);
        }
      }
      causes.forEach((one, place) => {
        if (!this.causes.has(one.cause)) this.causes.set(one.cause, this.causeItem(one));
        const item = this.causes.get(one.cause);
        g.text(item.querySelector(".cause-count"), g.number(one.count));
        g.text(item.querySelector(".cause-recent"), one.recent ? `+${g.number(one.recent)} in the last minute` : "");
        g.text(item.querySelector(".cause-line"), one.example || "");
        if (list.children[place] !== item) list.insertBefore(item, list.children[place] || null);
      });
    }

    causeItem(one) {
      const raw = g.el("div", { class: "cause-raw" });
      const details = g.el("details", { ontoggle: () => details.open && this.showExample(one, raw) },
        g.el("summary", {},
          g.el("b", { class: "cause-class" }, one.class), g.el("code", {}, one.reason),
          g.el("span", { class: one.rejected ? "is-rejected" : "is-failed" }, g.el("b", { class: "cause-count" }), one.rejected ? " rejected" : " tried again"),
          g.el("span", { class: "cause-recent muted" }), g.el("span", { class: "cause-line" })),
        raw);
      return g.el("li", { "data-cause": one.cause }, details);
    }

    async showExample(one, place) {
      try {
        const found = await g.get(`${this.base}/examples`);
        const failed = found.causes[one.cause];
        place.replaceChildren(...(failed ? [g.failed(failed[0])] : [g.el("p", { class: "muted" }, "No example of it was kept.")]));
      } catch (error) {
        place.replaceChildren(g.el("p", { class: "muted" }, error.message));
      }
    }

    async askSeries() {
      const now = performance.now(), over = this.job.state !== "running" && this.job.running === 0;
      // What is over changes no more, but for what a last reading of it brings.
      if (now - this.asked < (over && this.over ? 4 : 1) * SERIES_EVERY && over === this.over) return;
      this.over = over;
      this.root.classList.toggle("is-over", over);
      this.asked = now;
      this.charts = this.charts || new g.Charts([...this.root.querySelectorAll("[data-chart]")], this.root.id);
      // Where this fails, what is asked every two seconds does too, and says so.
      const more = await g.get(`${this.base}/series?since=${this.charts.since}`).catch(() => null);
      if (more) this.charts.update(more, this.job);
    }
  };

  /** A failed example or attempt: which, why, and what the model wrote. */
  g.failed = (one) =>
    g.el("div", { class: "example-failed" },
      g.el("p", { class: "muted mb-1" }, [one.name, one.recipe, ...one.facts].filter(Boolean).join(" · "), " · ", g.since(one.at)),
      one.detail ? g.el("p", { class: "mb-1" }, one.detail) : null,
      one.raw ? g.el("pre", { class: "raw" }, one.raw) : null);
})(genfleet);
