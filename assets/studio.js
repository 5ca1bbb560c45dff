/* The page's own script, first part: elements, the API, words, and what both tabs share. No framework, no other host.
   Text that people wrote reaches the page through textContent only. */
(() => {
  "use strict";

  const ICONS = {
    play: "M8 5v14l11-7z",
    stop: "M7 7h10v10H7z",
    close: "M6 6l12 12M18 6L6 18",
    up: "M12 19V5M6 11l6-6 6 6",
    pause: "M8 5v14M16 5v14",
    heart:
      "M12 20s-7-4.4-9.2-8.6C1.2 8 3 4.5 6.4 4.5c2.2 0 3.9 1.3 5.6 3.4 1.7-2.1 3.4-3.4 5.6-3.4 3.4 0 5.2 3.5 3.6 6.9C19 15.6 12 20 12 20z",
    download: "M12 4v11M7 11l5 5 5-5M5 20h14",
    trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
    reuse: "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
    search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4",
    sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
    moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
    image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
    clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
    film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.5h4M4 14.5h4M16 9.5h4M16 14.5h4",
    wave: "M3 12h2M7 8v8M11 4v16M15 7v10M19 10v4M21 12h.01",
    check: "M5 12.5l4.5 4.5L19 7.5",
    tag: "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.01",
    file: "M6 3h8l4 4v14H6zM14 3v4h4",
    system: "M4 5h16v11H4zM9 20h6M12 16v4",
    cut: "M6 6a2 2 0 1 0 0 .01M6 18a2 2 0 1 0 0 .01M8 7.5L20 17M8 16.5L20 7",
    back: "M15 6l-6 6 6 6",
    on: "M9 6l6 6-6 6",
    plus: "M12 5v14M5 12h14",
    minus: "M5 12h14",
    grid: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
    enlarge: "M14 4h6v6M10 20H4v-6M20 4l-7 7M4 20l7-7",
    undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
    redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6",
  };

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of Object.entries({
      viewBox: "0 0 24 24",
      class: `icon icon-${name}`,
      "aria-hidden": "true",
      focusable: "false",
    }))
      svg.setAttribute(key, value);
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  }

  /* An element: attributes by name, listeners as onclick, children as nodes or plain text. */
  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "value" || name === "muted") element[name] = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  function button(label, iconName, onclick, options = {}) {
    const { text = false, ...attributes } = options;
    return h(
      "button",
      {
        type: "button",
        class: text ? "button" : "icon-button",
        "aria-label": text ? null : label,
        title: text ? null : label,
        onclick,
        ...attributes,
      },
      iconName ? icon(iconName) : null,
      text ? label : null,
    );
  }

  /* New children for a part that is drawn anew again and again; the keyboard stays where it was. */
  const keyOf = (element) =>
    [element.closest("[data-job], [data-clip]"), element]
      .map((each) => each?.dataset.key ?? each?.dataset.job ?? each?.dataset.clip ?? each?.getAttribute("aria-label") ?? "")
      .join(" ");
  function refill(container, ...children) {
    const held = container.contains(document.activeElement) ? keyOf(document.activeElement) : null;
    container.replaceChildren(...children.flat());
    if (held !== null)
      [...container.querySelectorAll("button, a, input")].find((each) => keyOf(each) === held)?.focus({ preventScroll: true });
  }

  class Failure extends Error {
    constructor(message, field) {
      super(message);
      this.field = field;
    }
  }

  async function api(path, options = {}) {
    let response;
    try {
      response = await fetch(`/api/v1${path}`, {
        headers: { Accept: "application/json", ...(options.json ? { "Content-Type": "application/json" } : {}) },
        method: options.method,
        body: options.json ? JSON.stringify(options.json) : options.body,
      });
    } catch {
      throw new Failure(
        "The studio does not answer. Check that it is still running; this page goes on by itself when it is back.",
      );
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok)
      throw new Failure(
        body.error?.message ?? `The studio answered ${response.status}; try once more.`,
        body.error?.field,
      );
    return body;
  }

  /* Runs an action and says what went wrong, if something did. */
  async function attempt(action) {
    try {
      return await action();
    } catch (error) {
      if (error instanceof Failure) complain(error);
      else throw error;
    }
    return undefined;
  }

  const words = {
    seconds: (s) =>
      s < 10 ? `${s.toFixed(s < 1 ? 2 : 1)} s` : s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`,
    bytes: (n) => (n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`),
    /* Of a clip, or of a request for one. */
    size: (clip) => ((clip.modality ?? clip.request?.modality) === "audio" ? "sound only" : `${clip.width} × ${clip.height}`),
    left: (s) =>
      s === null || s === undefined
        ? ""
        : s < 1.5
          ? "almost done"
          : s < 90
            ? `about ${Math.round(s)} s left`
            : `about ${Math.round(s / 60)} min left`,
    when: (iso) => {
      const date = new Date(iso),
        minutes = (Date.now() - date) / 6e4;
      if (minutes < 1) return "just now";
      if (minutes < 60) return `${Math.round(minutes)} min ago`;
      return date.toLocaleString(
        undefined,
        minutes < 1440 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short", year: "numeric" },
      );
    },
    stage: (name) =>
      ({
        prepare: "Loading the model",
        load: "Loading the model",
        encode: "Reading the prompt",
        denoise: "Imagining",
        "decode picture": "Painting the frames",
        enlarge: "Enlarging the frames",
        "decode sound": "Rendering the sound",
        write: "Writing the file",
      })[name] ?? (name ? name[0].toUpperCase() + name.slice(1) : "Starting"),
    title: (clip) => clip.name || clip.request.prompt,
  };

  /* ---- messages ---- */
  const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

  function toast(message, { kind = "info", action = null, seconds = 6 } = {}) {
    if (!toasts.isConnected) document.body.append(toasts);
    [...toasts.children].filter((each) => each.firstChild.textContent === message).forEach((each) => each.remove());
    const box = h("div", { class: `toast ${kind}` }, h("span", {}, message));
    const gone = () => box.remove();
    if (action)
      box.append(
        h(
          "button",
          {
            type: "button",
            class: "button small",
            onclick: () => {
              gone();
              action.run();
            },
          },
          action.label,
        ),
      );
    box.append(button("Dismiss", "close", gone));
    toasts.append(box);
    while (toasts.children.length > 4) toasts.firstChild.remove();
    setTimeout(gone, seconds * 1000);
  }

  /* How the form calls what the request calls otherwise. */
  const FORM_FIELD = { height: "size", width: "size", num_frames: "duration" };

  function clearComplaints() {
    document.querySelectorAll(".complaint").forEach((each) => each.remove());
    document.querySelectorAll("[aria-invalid]").forEach((each) => {
      each.removeAttribute("aria-invalid");
      each.removeAttribute("aria-describedby");
    });
  }

  /* The API says num_inference_steps where the form says Steps. */
  function inFormWords(error, field) {
    const title = field.querySelector("[data-testid=block-info]")?.firstChild?.textContent?.trim();
    return title && error.message.startsWith(`${error.field} `) && error.field.includes("_")
      ? title + error.message.slice(error.field.length)
      : error.message;
  }

  /* The sentence beside the field that it is about; as a passing message where there is no such field. */
  async function complain(error) {
    const name = FORM_FIELD[error.field] ?? error.field;
    const place = () => name && document.getElementById(`field-${name}`);
    const known = studio.fieldNames.includes(name) && document.getElementById("composer")?.offsetParent;
    for (let wait = 0; known && !place()?.offsetParent && wait < 20; wait += 1) {
      document.querySelector("#advanced > button.label-wrap:not(.open)")?.click();
      await new Promise((soon) => setTimeout(soon, 100));
    }
    if (!place()?.offsetParent) return toast(error.message, { kind: "bad", seconds: 10 });
    clearComplaints();
    place().append(h("p", { class: "complaint", role: "alert", id: `complaint-${name}` }, inFormWords(error, place())));
    const input = place().querySelector("textarea, input, button");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", `complaint-${name}`);
    if (input?.getAttribute("role") !== "listbox") input?.focus(); // a dropdown that has the focus covers the complaint
    place().scrollIntoView({ block: "nearest" });
    return undefined;
  }

  /* ---- dark and light: the system's choice until the person makes one ---- */
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem("studio.theme") ?? "system";

  function paint() {
    const dark = chosen() === "system" ? scheme.matches : chosen() === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.body?.classList.toggle("dark", dark);
  }
  scheme.addEventListener("change", () => setTimeout(paint));
  paint();
  if (navigator.platform.startsWith("Mac")) document.documentElement.dataset.keys = "mac";

  function mountHeader(element) {
    const next = { system: "light", light: "dark", dark: "system" };
    const faces = {
      system: ["system", "Colours: as the system"],
      light: ["sun", "Colours: light"],
      dark: ["moon", "Colours: dark"],
    };
    const toggle = h("button", { type: "button", class: "icon-button", id: "theme-toggle" });
    const show = () => {
      const [face, label] = faces[chosen()];
      toggle.replaceChildren(icon(face));
      toggle.setAttribute("aria-label", `${label}. Press to change.`);
      toggle.title = label;
    };
    toggle.addEventListener("click", () => {
      localStorage.setItem("studio.theme", next[chosen()]);
      paint();
      show();
    });
    show();
    paint();
    const mark = h("span", { class: "mark", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i"));
    element
      .querySelector(".top")
      .replaceChildren(
        h("div", { class: "brand" }, mark, h("h1", {}, h("b", {}, "AIPROD"), " Studio")),
        h("div", { class: "top-right" }, h("span", { class: "pill", id: "queue-pill", role: "status" }), toggle),
      );
  }

  const places = {
    header: mountHeader,
    bridge: (_, trigger) => {
      studio.bridge = trigger;
    },
  };
  const downloadLink = (clip) =>
    h(
      "a",
      {
        class: "icon-button",
        href: `${clip.urls.file}?download=1`,
        download: "",
        "aria-label": "Download the clip",
        title: "Download the clip",
      },
      icon("download"),
    );

  const studio = (window.studio = {
    h,
    icon,
    button,
    downloadLink,
    refill,
    api,
    Failure,
    attempt,
    words,
    toast,
    complain,
    clearComplaints,
    places,
    bridge: null,
    fieldNames: [],
    form: {},
    mount: (name, element, ...rest) => places[name](element, ...rest),
  });
})();
