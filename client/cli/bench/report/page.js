"use strict";
const tip = document.getElementById("tip");

// A way is lit in its whole section: in the charts, the legend and the table.
function light(section, way) {
  section.toggleAttribute("data-lit", Boolean(way));
  for (const it of section.querySelectorAll("[data-way]")) it.classList.toggle("lit", it.dataset.way === way);
}

for (const section of document.querySelectorAll("section")) {
  let kept = null;
  for (const button of section.querySelectorAll(".legend button")) {
    const way = button.dataset.way;
    button.addEventListener("pointerenter", () => light(section, way));
    button.addEventListener("pointerleave", () => light(section, kept));
    button.addEventListener("click", () => {
      kept = kept === way ? null : way;
      for (const it of section.querySelectorAll(".legend button")) it.ariaPressed = String(it.dataset.way === kept);
      light(section, kept);
    });
  }
  for (const chart of section.querySelectorAll(".chart")) {
    const marks = [...chart.querySelectorAll(".mark")];
    const nearest = (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const far = (mark) => Math.hypot(mark.dataset.x - at.x, mark.dataset.y - at.y);
      return marks.reduce((best, mark) => (far(mark) < far(best) ? mark : best));
    };
    chart.addEventListener("pointermove", (event) => {
      const mark = nearest(event), place = mark.getBoundingClientRect();
      light(section, mark.closest("[data-way]").dataset.way);
      tip.textContent = mark.querySelector("title").textContent;
      const left = Math.min(Math.max(place.x - tip.offsetWidth / 2, 6), innerWidth - tip.offsetWidth - 6);
      tip.style.left = `${left}px`;
      tip.style.top = `${Math.max(place.y - tip.offsetHeight - 10, 6)}px`;
      tip.classList.add("shown");
    });
    chart.addEventListener("pointerleave", () => {
      tip.classList.remove("shown");
      light(section, kept);
    });
  }
  for (const panes of section.querySelectorAll(".panes")) {
    const buttons = [...panes.querySelectorAll(".sizes button")];
    const show = (size) => {
      for (const it of buttons) it.ariaPressed = String(it.dataset.size === size);
      for (const pane of panes.querySelectorAll(".pane")) {
        pane.toggleAttribute("data-on", pane.dataset.size === size);
        pane.toggleAttribute("data-off", pane.dataset.size !== size);
      }
    };
    for (const button of buttons) button.addEventListener("click", () => show(button.dataset.size));
    show(buttons[0].dataset.size);
  }
}

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dataset.unix * 1000).toLocaleString();
}
