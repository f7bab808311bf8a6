// Where tuning tables are kept between sessions, a table an adapter: IndexedDB in a page, a file in Node.

import type { TuningData } from "../../scheduler/tuning.ts";

/** Keeps tuning data by adapter. Both may fail silently: what is lost is measured again. */
export interface TuningStore {
  load(adapter: string): Promise<TuningData | undefined>;
  save(adapter: string, data: TuningData): Promise<void>;
}

const NAME = "neurite-tuning";

/** Keeps nothing. */
export const forgetful: TuningStore = { load: () => Promise.resolve(undefined), save: () => Promise.resolve() };

/** The store of this environment; one that forgets, where there is none. */
export async function defaultTuningStore(): Promise<TuningStore> {
  const { indexedDB } = globalThis as { indexedDB?: IDBFactory };
  if (indexedDB) return databaseStore(indexedDB);
  if ("process" in globalThis) return (await import("./tuningFile.ts")).fileStore();
  return forgetful;
}

function databaseStore(factory: IDBFactory): TuningStore {
  const result = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        reject(request.error ?? new Error("IndexedDB failed"));
      };
    });
  const inStore = async <T>(
    mode: "readonly" | "readwrite",
    work: (store: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T> => {
    const opening = factory.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(NAME);
    const database = await result(opening);
    try {
      return await result(work(database.transaction(NAME, mode).objectStore(NAME)));
    } finally {
      database.close();
    }
  };
  return {
    load: (adapter) =>
      inStore("readonly", (store) => store.get(adapter) as IDBRequest<TuningData | undefined>).catch(() => undefined),
    // Private windows refuse: the table then lasts as long as the engine.
    save: (adapter, data) =>
      inStore("readwrite", (store) => store.put(data, adapter)).then(
        () => undefined,
        () => undefined,
      ),
  };
}
