/* The form beside the player: its draft outlives the page, files dropped anywhere find their place, and the server's
   answers are said where they belong. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, api, attempt, toast, places, complain, clearComplaints, Failure } = studio;

  /* Chromium lets Tab stop at a list that can be scrolled. A dropdown's own list goes as its field is left, and the focus with it. */
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Tab") for (const list of document.querySelectorAll(".options, .option-list")) list.tabIndex = -1;
    },
    true,
  );

  /* A dropdown tells of an input whenever it is left, chosen anew or not: what it held as it was entered tells the two apart. */
  let held = null;
  document.addEventListener("focusin", (event) => {
    if (event.target.closest("#field-model")) held = studio.form.model;
  });

  /* What the server says of an image names the first frame, unless it is told what the image is for. */
  studio.uploadImage = async (file, field, name = file.name) => {
    const body = new FormData();
    body.append("file", file, name);
    try {
      return (await api("/media", { method: "POST", body })).reference;
    } catch (error) {
      if (!(error instanceof Failure) || error.field !== "first_frame") throw error;
      throw Object.assign(new Failure(error.message.replace(/^first_frame/, field)), { field });
    }
  };

  const ENDS = {
    first_frame: { title: "First frame", what: "first frame", chosen: "The clip starts here.", free: "Optional: where it starts." },
    last_frame: { title: "Last frame", what: "last frame", chosen: "The clip ends here.", free: "Optional: where it ends." },
  };

  function mountEndFrame(element, trigger, props, watch) {
    const slot = element.querySelector(".end-frame"), { name } = slot.dataset, end = ENDS[name];
    const input = h("input", {
      type: "file",
      accept: "image/png,image/jpeg,image/webp",
      class: "hidden-file",
      "aria-label": `${end.title}: choose an image`,
      onchange: () => {
        if (input.files[0]) upload(input.files[0]);
        input.value = "";
      },
    });
    const set = (reference) => {
      props.value = reference;
      trigger("change");
      draw();
    };
    const upload = (file) =>
      attempt(async () => {
        clearComplaints();
        slot.classList.add("busy");
        try {
          set(await studio.uploadImage(file, name));
        } finally {
          slot.classList.remove("busy");
        }
      });
    const draw = () => {
      const label = h(
        "div",
        { class: "slot-text" },
        h("b", {}, end.title),
        h("span", {}, props.value ? end.chosen : end.free),
      );
      const face = props.value
        ? h("img", { src: `/api/v1/media/${props.value}`, alt: `The chosen ${end.what}` })
        : icon("image");
      const choose = h(
        "button",
        {
          type: "button",
          class: "slot-face",
          "aria-label": `Choose ${props.value ? "another" : "a"} ${end.what}`,
          title: "PNG, JPEG or WebP",
          onclick: () => input.click(),
        },
        face,
      );
      slot.replaceChildren(
        choose,
        label,
        input,
        props.value ? button(`Remove the ${end.what}`, "close", () => set(null)) : "",
      );
    };
    if (name === "first_frame") studio.useAsFirstFrame = upload;
    watch("value", draw);
    draw();
  }

  function mountExamples(element, trigger, props, watch) {
    const draw = () => {
      const prompts = props.value?.prompts ?? [];
      const chip = (prompt) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            title: prompt,
            onclick: () => {
              props.value = { prompts, chosen: prompt };
              trigger("select");
            },
          },
          h("span", {}, prompt),
        );
      element
        .querySelector(".examples")
        .replaceChildren(
          prompts.length ? h("p", { id: "examples-label" }, "Try one of these") : "",
          h("div", { class: "chips", role: "group", "aria-labelledby": "examples-label" }, prompts.map(chip)),
        );
    };
    watch("value", draw);
    draw();
  }

  function restoreRequest(request) {
    if (studio.bridge) studio.bridge("submit", { request });
  }

  const restoreFile = (file) =>
    attempt(async () => {
      const form = new FormData();
      form.append("file", file);
      restoreRequest((await api("/restore", { method: "POST", body: form })).request);
    });

  function takeFile(file) {
    if (file.type.startsWith("image/")) studio.useAsFirstFrame?.(file);
    else if (file.name.toLowerCase().endsWith(".safetensors")) studio.importStyle?.(file);
    else if (file.name.toLowerCase().endsWith(".aiprod")) studio.importProject?.(file);
    else if (file.type === "video/mp4" || file.name.toLowerCase().endsWith(".mp4")) restoreFile(file);
    else
      toast(`${file.name} is no MP4 clip, no PNG, JPEG or WebP image, no LoRA and no project; drop one of those.`, { kind: "bad" });
  }

  const veil = h(
    "div",
    { class: "veil", hidden: true },
    h(
      "div",
      {},
      icon("file"),
      h("b", {}, "Drop it here"),
      h("span", {}, "A clip sets the form as it was made. An image becomes the first frame, a LoRA a style."),
    ),
  );
  let depth = 0;
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const showVeil = (on) => {
    if (!veil.isConnected) document.body.append(veil);
    veil.hidden = !on;
    if (!on) depth = 0;
  };
  addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) {
      depth += 1;
      showVeil(true);
    }
  });
  addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) {
      depth -= 1;
      if (depth <= 0) showVeil(false);
    }
  });
  addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    showVeil(false);
    if (event.dataTransfer.files[0]) takeFile(event.dataTransfer.files[0]);
  });

  addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
      event.preventDefault();
      const generate = document.getElementById("generate");
      if (generate?.offsetParent) setTimeout(() => generate.click(), 60); // the form takes a keystroke's text a moment later
    },
    true,
  );

  /* ---- seconds, and frames where there are any, beside the duration slider while it moves ---- */
  function noteDuration() {
    const slider = document.querySelector("#field-duration input[type=range]");
    const title = document.querySelector("#field-duration [data-testid=block-info]");
    const rate = Number(
      /([\d.]+) frames a second/.exec(document.querySelector("#field-duration .info-text")?.textContent ?? "")?.[1],
    );
    if (!slider || !title) return;
    const note = title.querySelector(".note") ?? title.appendChild(h("span", { class: "note" }));
    const seconds = Number(slider.value),
      text = `${seconds.toFixed(2)} s${rate ? ` · ${Math.round(seconds * rate)} frames` : ""}`;
    if (note.textContent !== text) {
      note.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    }
  }
  addEventListener("input", () => setTimeout(noteDuration), true);
  setInterval(noteDuration, 400);

  /* What the form holds now, for those who look at it live. */
  function noteForm(names, values) {
    studio.form = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    dispatchEvent(new Event("studio-form"));
  }

  Object.assign(places, { endFrame: mountEndFrame, examples: mountExamples });
  Object.assign(studio, {
    restoreRequest,
    restoreFile,
    keepDraft: (names, values) => {
      noteForm(names, values);
      try {
        localStorage.setItem("studio.draft", JSON.stringify(studio.form));
      } catch {
        /* private windows keep nothing */
      }
    },
    /* The values of the form with the kept draft put in, where it is of the same kind and its model is still there. */
    recall: (names, models, values) => {
      let kept = {};
      studio.fieldNames = names;
      try {
        kept = JSON.parse(localStorage.getItem("studio.draft")) ?? {};
      } catch {
        /* nothing kept, or damaged */
      }
      if (!models.includes(kept.model)) kept = { prompt: kept.prompt };
      const fits = (mine, theirs) =>
        mine !== undefined && (mine === null || theirs === null || typeof mine === typeof theirs);
      const recalled = names.map((name, i) => (fits(kept[name], values[i]) ? kept[name] : values[i]));
      noteForm(names, recalled);
      return recalled.map((value, i) =>
        names[i] === "seed" && !value && !recalled[names.indexOf("seed_lock")]
          ? Math.floor(Math.random() * 2 ** 32)
          : value,
      );
    },
    /* After a draft was put back: where the studio's default is another than when this browser last looked, the form takes it. */
    begun: async (first) => {
      let seen = first;
      try {
        seen = localStorage.getItem("studio.default") ?? first;
      } catch {
        /* private windows keep nothing */
      }
      let model;
      await attempt(async () => ({ model } = await api("/models/default")));
      if (!model) return;
      try {
        localStorage.setItem("studio.default", model);
      } catch {
        /* as above */
      }
      if (model !== seen && model !== studio.form.model) studio.bridge?.("select", { model });
    },
    /* Of the form's values, the model's is left out where it is the one that was there before. */
    chosen: (names, values) => {
      const model = values[names.indexOf("model")];
      const same = model === held;
      held = model;
      return values.map((value, i) => (same && names[i] === "model" ? null : value));
    },
    asked: (values) => {
      clearComplaints();
      const generate = document.getElementById("generate");
      generate?.classList.add("busy");
      setTimeout(() => generate?.classList.remove("busy"), 15000); // the studio went away before it could answer
      return values;
    },
    answered: (outcome) => {
      document.getElementById("generate")?.classList.remove("busy");
      if (outcome?.error) complain(Object.assign(new Failure(outcome.error.message), { field: outcome.error.field }));
      if (outcome?.job) studio.submitted(outcome.job);
      if (outcome?.restored) {
        clearComplaints();
        toast(
          outcome.restored === "edit"
            ? "The words and settings are in the form, and Generate makes a new clip of them. The edit itself is made again in the Edit tab."
            : "Every setting is as it was, the seed too. Press Generate to make the clip again, or change something first.",
        );
      }
    },
  });
})();
