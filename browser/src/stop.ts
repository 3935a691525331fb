/**
 * Ends one load before its time: for a signal of its caller, or for an error of its caller's
 * `onProgress`. It ends that load alone.
 */
export class Stop {
  readonly #controller = new AbortController();
  readonly #followed = new Map<AbortSignal, () => void>();
  /** Kept here, because signals of older browsers have none. */
  #reason: unknown;

  /** For what the host itself can end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isStopped(): boolean {
    return this.signal.aborted;
  }

  /** Stops the load. Only the first reason counts. */
  now(reason: unknown): void {
    if (!this.isStopped) {
      this.#reason = reason;
      this.#controller.abort(reason);
    }
  }

  /** Stops the load when `signal` is aborted, for the same reason. `fetch` takes null too. */
  follow(signal: AbortSignal | null | undefined): void {
    if (!signal) {
      return;
    }
    const stop = () =>
      this.now("reason" in signal ? signal.reason : new DOMException("the load was aborted", "AbortError"));
    if (signal.aborted) {
      stop();
    } else if (!this.#followed.has(signal)) {
      signal.addEventListener("abort", stop);
      this.#followed.set(signal, stop);
    }
  }

  /** Throws the reason once the load is stopped. */
  check(): void {
    if (this.isStopped) {
      throw this.#reason;
    }
  }

  /** `promise`, or the reason if that comes first. */
  async until<T>(promise: Promise<T>): Promise<T> {
    return await new Promise((resolve, reject) => {
      const stop = () => reject(this.#reason);
      this.signal.addEventListener("abort", stop);
      promise.then(resolve, reject).finally(() => this.signal.removeEventListener("abort", stop));
      if (this.isStopped) {
        stop();
      }
    });
  }

  /** The load is over: what is still under way is for nobody, and signals are not followed. */
  end(): void {
    for (const [signal, stop] of this.#followed) {
      signal.removeEventListener("abort", stop);
    }
    this.#followed.clear();
    this.now(undefined);
  }
}
