"""Services that the simulated assistant can call: tools, calls that fit them, and what they answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

Json = dict[str, Any]
CITIES = ("Torino", "Bari", "Trieste", "Perugia", "Cagliari", "Lecce", "Modena", "Salerno", "Trento", "Ancona")


@dataclass(frozen=True)
class Exchange:
    """One request with the call that serves it.

    Attributes:
        request, reply: what the user asks and the assistant answers.
        tool, arguments, result: the tool's name, the call's arguments, what the tool answers.
    """

    request: str
    tool: str
    arguments: Json
    result: Json
    reply: str


@dataclass(frozen=True)
class Service:
    """Words of the topics that the service fits, its tools (parameters still as objects), and a maker of exchanges."""

    words: tuple[str, ...]
    tools: tuple[Json, ...]
    exchange: Callable[[random.Random], Exchange]


def _date(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _weather(rng: random.Random) -> Exchange:
    city, day, degrees = rng.choice(CITIES), _date(rng), rng.randint(4, 33)
    sky = rng.choice(["sereno", "poco nuvoloso", "piovoso", "ventoso"])
    return Exchange(
        f"Che tempo farà a {city} il {day}?",
        "previsioni_meteo",
        {"citta": city, "data": day},
        {"citta": city, "data": day, "cielo": sky, "massima": degrees, "pioggia": sky == "piovoso"},
        f"A {city} il {day} il cielo sarà {sky}, con una massima di {degrees} gradi.",
    )


def _train(rng: random.Random) -> Exchange:
    start, end = rng.sample(CITIES, 2)
    day, hour, delay = _date(rng), f"{rng.randint(6, 21):02}:{rng.choice(['05', '20', '45'])}", rng.randint(0, 25)
    return Exchange(
        f"A che ora posso partire in treno da {start} per {end} il {day}?",
        "cerca_treni",
        {"partenza": start, "arrivo": end, "data": day},
        {"treni": [{"orario": hour, "ritardo_minuti": delay, "cambi": rng.randint(0, 2)}]},
        f"Il primo treno da {start} a {end} parte alle {hour}; al momento il ritardo è di {delay} minuti.",
    )


def _table(rng: random.Random) -> Exchange:
    people, hour, day = rng.randint(2, 8), f"{rng.randint(19, 21)}:30", _date(rng)
    code = f"P{rng.randint(1000, 9999)}"
    return Exchange(
        f"Vorrei prenotare un tavolo per {people} persone alla Trattoria del Borgo, il {day} alle {hour}.",
        "prenota_tavolo",
        {"ristorante": "Trattoria del Borgo", "persone": people, "data": day, "ora": hour},
        {"confermato": True, "codice": code},
        f"Il tavolo per {people} è prenotato per il {day} alle {hour}. Il codice è {code}.",
    )


def _parcel(rng: random.Random) -> Exchange:
    code, where, day = f"IT{rng.randint(100000, 999999)}", rng.choice(CITIES), _date(rng)
    return Exchange(
        f"Dov'è il mio pacco? Il codice è {code}.",
        "traccia_spedizione",
        {"codice": code},
        {"codice": code, "posizione": where, "stato": "in transito", "consegna_prevista": day},
        f"Il pacco {code} è in transito a {where}; la consegna è prevista per il {day}.",
    )


def _book(rng: random.Random) -> Exchange:
    title = rng.choice(["Il barone rampante", "La coscienza di Zeno", "Lessico famigliare", "I malavoglia"])
    copies = rng.randint(1, 4)
    return Exchange(
        f"In biblioteca avete «{title}»?",
        "cerca_libro",
        {"titolo": title},
        {"titolo": title, "copie_disponibili": copies, "scaffale": f"N{rng.randint(1, 40)}"},
        f"Sì: di «{title}» sono disponibili {copies} copie, e possono essere prese in prestito.",
    )


def _visit(rng: random.Random) -> Exchange:
    kind, city, day = rng.choice(["cardiologica", "oculistica", "dermatologica"]), rng.choice(CITIES), _date(rng)
    return Exchange(
        f"Mi serve una visita {kind} a {city}, il prima possibile.",
        "cerca_visite",
        {"tipo": kind, "citta": city},
        {"disponibilita": [{"data": day, "ora": "09:40", "sede": f"Poliambulatorio di {city}"}]},
        f"Il primo posto libero per la visita {kind} è il {day} alle 09:40, al Poliambulatorio di {city}.",
    )


def _museum(rng: random.Random) -> Exchange:
    people, day = rng.randint(1, 6), _date(rng)
    price = rng.choice([8, 10, 12, 15])
    return Exchange(
        f"Quanto costano {people} biglietti per il Museo Archeologico il {day}?",
        "biglietti_museo",
        {"museo": "Museo Archeologico", "data": day, "quantita": people},
        {"disponibili": True, "prezzo_unitario": price, "totale": price * people},
        f"Per il {day} ci sono posti: il totale è {price * people} €, cioè {price} € a persona.",
    )


def _exchange(rng: random.Random) -> Exchange:
    amount, currency = rng.randrange(50, 900, 50), rng.choice(["USD", "GBP", "CHF", "JPY"])
    rate = {"USD": 1.1, "GBP": 0.85, "CHF": 0.95, "JPY": 160.0}[currency]
    total = round(amount * rate, 2)
    return Exchange(
        f"A quanti {currency} corrispondono {amount} euro?",
        "cambia_valuta",
        {"importo": amount, "da": "EUR", "a": currency},
        {"tasso": rate, "importo_convertito": total},
        f"Con il cambio attuale {amount} € corrispondono a {str(total).replace('.', ',')} {currency}.",
    )


def _heating(rng: random.Random) -> Exchange:
    room, degrees = rng.choice(["soggiorno", "camera", "studio"]), rng.randint(18, 22)
    return Exchange(
        f"Porta il riscaldamento del {room} a {degrees} gradi, per favore.",
        "imposta_termostato",
        {"stanza": room, "gradi": degrees},
        {"stanza": room, "gradi": degrees, "stato": "impostato"},
        f"Fatto: il termostato ({room}) è impostato a {degrees} gradi.",
    )


def _meeting(rng: random.Random) -> Exchange:
    day, hour, title = _date(rng), f"{rng.randint(9, 17):02}:00", rng.choice(["Colloquio", "Riunione", "Dentista"])
    return Exchange(
        f"Segna in agenda «{title}» il {day} alle {hour}.",
        "crea_appuntamento",
        {"titolo": title, "data": day, "ora": hour},
        {"creato": True, "sovrapposizioni": []},
        f"Ho segnato «{title}» per il {day} alle {hour}. Non ci sono sovrapposizioni.",
    )


_MAKERS = {
    "weather": _weather,
    "train": _train,
    "table": _table,
    "parcel": _parcel,
    "book": _book,
    "visit": _visit,
    "museum": _museum,
    "exchange": _exchange,
    "heating": _heating,
    "meeting": _meeting,
}


@lru_cache(maxsize=1)
def services() -> tuple[Service, ...]:
    """The services of services.json, in its order."""
    known = json.loads((resources.files(__package__) / "services.json").read_text(encoding="utf-8"))
    return tuple(Service(tuple(one["words"]), tuple(one["tools"]), _MAKERS[name]) for name, one in known.items())
