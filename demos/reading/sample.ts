// The sample: a baker's sign with print of several sizes, light on dark and dark on light, and a tilted sticker.

const WIDTH = 640;
const HEIGHT = 384;
const serif = 'Georgia, "Times New Roman", serif';
const sans = '"Helvetica Neue", Arial, "Open Sans", sans-serif';

/** Paints the sample and returns it. */
export function drawSample(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d")!;

  const paper = context.createLinearGradient(0, 0, WIDTH, HEIGHT);
  paper.addColorStop(0, "#fbf4e4");
  paper.addColorStop(1, "#ecdcbb");
  context.fillStyle = paper;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = "#23443a";
  context.fillRect(0, 0, WIDTH, 116);
  context.fillStyle = "#d9a648";
  context.fillRect(0, 116, WIDTH, 6);

  const write = (text: string, font: string, color: string, x: number, y: number): void => {
    context.font = font;
    context.fillStyle = color;
    context.textBaseline = "middle";
    context.fillText(text, x, y);
  };
  write("Flour and Salt", `700 58px ${serif}`, "#fbf4e4", 44, 60);
  write("Fresh bread every day", `600 32px ${sans}`, "#33291c", 44, 174);
  write("Mon-Fri 7:30-18:00", `400 28px ${sans}`, "#33291c", 44, 232);
  write("Tel. 555 0142", `400 22px ${sans}`, "#6b5a41", 44, 340);

  context.translate(468, 300);
  context.rotate((-9 * Math.PI) / 180);
  context.beginPath();
  context.roundRect(-132, -34, 264, 68, 12);
  context.fillStyle = "#b3322a";
  context.fill();
  context.textAlign = "center";
  write("Try our pies", `700 34px ${sans}`, "#fff6e6", 0, 1);
  return canvas;
}
