/** Makes pictures of pixels, to be handed to the page. */

export class Easel {
  private canvas = new OffscreenCanvas(1, 1);
  private context = this.canvas.getContext('2d', { willReadFrequently: true });
  private image = new ImageData(1, 1);

  /** To be painted on: what was painted last, unless the size is another. */
  pixels(width: number, height: number): Uint32Array {
    if (this.image.width !== width || this.image.height !== height) {
      this.image = new ImageData(width, height);
      this.canvas.width = width;
      this.canvas.height = height;
    }
    return new Uint32Array(this.image.data.buffer);
  }

  /** Of the pixels as they are now. By way of a canvas in main memory: made of the pixels directly it takes ten times as long. */
  picture(): Promise<ImageBitmap> {
    this.context?.putImageData(this.image, 0, 0);
    return createImageBitmap(this.canvas);
  }
}
