// The landing page's two living parts: whether this browser has WebGPU, and a picture of what the first demo does (a digit's
// pixels flow through a layer into ten answers, one of which lights up).

import "./shared/theme.ts";

const digit = [
  "............",
  "...#####....",
  "..##...##...",
  ".......##...",
  "......##....",
  "....####....",
  "......###...",
  "........##..",
  "........##..",
  "..##...##...",
  "...#####....",
  "............",
];

function drawArt(svg: Element): void {
  const shapes: string[] = [];
  const cell = 9.6;
  const top = 92;
  digit.forEach((row, y) => {
    Array.from(row).forEach((mark, x) => {
      if (mark === "#")
        shapes.push(
          `<rect class="pixel" x="${x * cell}" y="${top + y * cell}" width="${cell - 1}" height="${cell - 1}" rx="1.5"/>`,
        );
    });
  });
  const hidden = Array.from({ length: 6 }, (_, i) => ({ x: 190, y: 50 + i * 40 }));
  const answers = Array.from({ length: 10 }, (_, i) => ({ x: 312, y: 22 + i * 28.5 }));
  const wire = (x1: number, y1: number, x2: number, y2: number, live: boolean): string =>
    `<path class="wire${live ? " live" : ""}" fill="none" d="M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}"/>`;
  const wires = hidden.flatMap((from, h) => [
    wire(112, 150, from.x, from.y, h === 1 || h === 3 || h === 4),
    ...answers.map((to, a) => wire(from.x, from.y, to.x, to.y, a === 3 && (h === 1 || h === 3 || h === 4))),
  ]);
  wires.sort((a, b) => Number(a.includes("live")) - Number(b.includes("live")));
  shapes.unshift(...wires);
  hidden.forEach(({ x, y }, h) => {
    shapes.push(
      `<circle class="cell${h === 1 || h === 3 || h === 4 ? " live" : ""}" cx="${x}" cy="${y}" r="${h === 3 ? 9 : 7}"/>`,
    );
  });
  answers.forEach(({ x, y }, a) => {
    const live = a === 3 ? " live" : "";
    shapes.push(`<circle class="cell${live}" cx="${x}" cy="${y}" r="${a === 3 ? 9 : 5}"/>`);
    shapes.push(`<text class="${live.trim()}" x="${x + 18}" y="${y + 4.5}">${a}</text>`);
  });
  svg.innerHTML = shapes.join("");
}

async function reportGpu(status: HTMLElement): Promise<void> {
  const { gpu } = navigator as { gpu?: GPU }; // older browsers have none
  const adapter = await gpu?.requestAdapter().catch(() => null);
  status.classList.add(adapter ? "found" : "missing");
  if (adapter) {
    const { vendor, architecture, description } = adapter.info;
    const name = description || [vendor, architecture].filter(Boolean).join(" ");
    status.textContent = `This browser has WebGPU${name ? `: ${name}` : ""}.`;
  } else {
    status.textContent = gpu
      ? "This browser knows WebGPU but found no adapter. The demo can run on the CPU, slowly, and tells how to change that."
      : "This browser has no WebGPU. The demo can run on the CPU, slowly, and tells how to change that.";
  }
}

drawArt(document.querySelector("#hero-art")!);
void reportGpu(document.querySelector("#gpu-status")!);
