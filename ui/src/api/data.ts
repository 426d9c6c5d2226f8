/** Data of an address as a hook: loading, there, or failed; loaded again when `version` or the connection changes. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, getJson } from "./client";
import { useConnection } from "./connection";
import { getLong, type Progress } from "./long";
import { counted } from "./quiet";
import { useWasSeen } from "./seen";

export interface Loaded<T> {
  data: T | null;
  error: ApiError | null;
  loading: boolean;
  /** Of what takes long: how far it is, and how to cancel it. */
  work?: Work;
}

export interface Work {
  progress: Progress | null;
  cancelled: boolean;
  cancel: () => void;
  again: () => void;
}

type Get<T> = (address: string, signal: AbortSignal) => Promise<T>;

interface State<T> extends Loaded<T> {
  address: string | null;
}

const counting = <T,>(address: string, signal: AbortSignal): Promise<T> => counted(getJson<T>(address, signal));

const NOTHING = { data: null, error: null, loading: false };

/**
 * What is at `address`; nothing while that is null. While a newer version loads, the older one stays. A change of
 * `version` during a request waits for it and asks once more, so a busy run does not starve its own page.
 */
export function useData<T>(address: string | null, version = 0, get: Get<T> = counting): Loaded<T> {
  const { generation } = useConnection();
  const [state, set] = useState<State<T>>({ ...NOTHING, address: null });
  const flight = useRef<{ address: string; again: boolean; abort: AbortController } | null>(null);

  useEffect(() => {
    if (address === null) {
      flight.current?.abort.abort();
      flight.current = null;
      return;
    }
    if (flight.current?.address === address) {
      flight.current.again = true;
      return;
    }
    flight.current?.abort.abort();
    const load = () => {
      const mine = { address, again: false, abort: new AbortController() };
      flight.current = mine;
      const settle = (next: Partial<State<T>>) => {
        if (flight.current !== mine) return;
        flight.current = null;
        set((old) => ({ ...NOTHING, data: old.address === address ? old.data : null, ...next, address }));
        if (mine.again) load();
      };
      get(address, mine.abort.signal).then(
        (data) => settle({ data }),
        (error: unknown) => settle({ error: error instanceof ApiError ? error : new ApiError(0, String(error)) }),
      );
    };
    load();
  }, [address, version, generation]);

  useEffect(
    () => () => {
      flight.current?.abort.abort();
      flight.current = null;
    },
    [],
  );

  if (address === null) return NOTHING;
  if (state.address !== address) return { ...NOTHING, loading: true };
  return state;
}

/** What is at each of several addresses; null stands for none. While a newer version loads, the older one stays. */
export function useEach<T>(addresses: (string | null)[], version = 0): Loaded<T>[] {
  const { generation } = useConnection();
  const key = JSON.stringify(addresses);
  const [state, set] = useState<{ key: string; found: Loaded<T>[] }>({ key: "", found: [] });
  const waiting = useMemo(() => addresses.map((one): Loaded<T> => ({ ...NOTHING, loading: one !== null })), [key]);
  useEffect(() => {
    const abort = new AbortController();
    const ask = async (one: string | null): Promise<Loaded<T>> => {
      if (one === null) return NOTHING;
      try {
        return { ...NOTHING, data: await counting<T>(one, abort.signal) };
      } catch (error) {
        return { ...NOTHING, error: error instanceof ApiError ? error : new ApiError(0, String(error)) };
      }
    };
    void Promise.all(addresses.map(ask)).then((found) => {
      if (!abort.signal.aborted) set({ key, found });
    });
    return () => abort.abort();
  }, [key, version, generation]);
  return state.key === key ? state.found : waiting;
}

/** Like `useData`, for what takes long: it begins once the page is seen, says how far it is, and can be cancelled and started again. */
export function useLong<T>(address: string | null, version = 0): Loaded<T> {
  const [cancelled, setCancelled] = useState<string | null>(null);
  const [told, tell] = useState<{ address: string; progress: Progress } | null>(null);
  const stopped = address !== null && cancelled === address;
  const seen = useWasSeen();
  const loaded = useData<T>(stopped || !seen ? null : address, version, (asked, signal) => getLong<T>(asked, signal, (progress) => tell({ address: asked, progress })));
  const work = {
    progress: told?.address === address ? told!.progress : null,
    cancelled: stopped,
    cancel: () => setCancelled(address),
    again: () => {
      tell(null);
      setCancelled(null);
    },
  };
  return address === null ? loaded : { ...loaded, work };
}
