/* Curves over the preview while a clip is denoised: sharpness, motion, and how much of the prompt is to be seen.
   They come with the job's progress, so that a reload or another tab shows them whole. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h } = studio;
  const NS = "http://www.w3.org/2000/svg";
  const WIDE = 100, TALL = 30, EDGE = 3;

  function path(kind) {
    const drawn = document.createElementNS(NS, "path");
    drawn.setAttribute("class", kind);
    return drawn;
  }

  function trace(metric) {
    const svg = document.createElementNS(NS, "svg"), area = path("area"), line = path("line");
    svg.setAttribute("viewBox", `0 0 ${WIDE} ${TALL}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(area, line);
    const shown = h("div", { class: "trace-shown" }, svg), dot = h("i", { class: "trace-dot" });
    const value = h("b", {}), figure = h(
      "figure", { class: `trace ${metric.name.replace("live.", "")}`, role: "img", "data-metric": metric.name, title: metric.definition },
      h("figcaption", {}, h("span", {}, metric.title), value), h("div", { class: "trace-plot" }, shown, dot),
    );
    return { metric, figure, shown, dot, value, area, line };
  }

  /* Through the points without ever leaving the range between two neighbours: level tangents at both ends of a piece. */
  function through(points) {
    let drawn = `M${points[0].join(" ")}`;
    for (let at = 1; at < points.length; at++) {
      const [x0, y0] = points[at - 1], [x1, y1] = points[at], middle = (x0 + x1) / 2;
      drawn += `C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`;
    }
    return drawn;
  }

  function draw({ metric, figure, shown, dot, value, area, line }, curve) {
    figure.hidden = !curve?.length;
    if (figure.hidden) return;
    const isShare = metric.unit === "share", values = curve.map(([, each]) => each);
    const top = isShare ? 1 : 1.15 * Math.max(...values, metric.span[1] / 20);
    const points = curve.map(([at, each]) => [WIDE * at, TALL - EDGE - (TALL - 2 * EDGE) * Math.min(1, each / top)]);
    const [x, y] = points.at(-1), last = values.at(-1);
    const curved = through(points);
    line.setAttribute("d", curved);
    area.setAttribute("d", `${curved}L${x} ${TALL}L${points[0][0]} ${TALL}Z`);
    shown.style.clipPath = `inset(0 ${100 - x}% 0 0)`;
    dot.style.left = `${x}%`;
    dot.style.top = `${(100 * y) / TALL}%`;
    value.textContent = isShare ? `${Math.round(100 * last)} %` : last.toFixed(last < 10 ? 2 : 1);
    const spoken = isShare ? value.textContent : `${value.textContent} ${metric.unit}`;
    figure.setAttribute("aria-label", `${metric.title}: ${spoken}, ${Math.round(x)} percent of the way`);
  }

  const place = h("div", { class: "traces", hidden: true });
  let traces = null;

  /* The curves of a running job; nothing where nothing was measured yet. */
  async function drawCurves(progress) {
    const curves = progress?.curves ?? {};
    place.hidden = !Object.keys(curves).length;
    if (place.hidden) return;
    if (!traces) {
      const { live } = await studio.known();
      traces ??= live.map(trace);
      place.replaceChildren(...traces.map((each) => each.figure));
    }
    for (const each of traces) draw(each, curves[each.metric.name]);
  }

  Object.assign(studio, { curves: place, drawCurves });
})();
