"""Simulated problems with their solution."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from console.provider.answers.prompt import Ask

Problem = dict[str, Any]
_NAMES = ("Giulia", "Marco", "Sara", "Davide", "Elena", "Pietro", "Chiara", "Tommaso", "Noemi", "Luca")


def make(ask: Ask, rng: random.Random) -> Problem:
    """One problem solved in steps, as the class Reasoning wants it."""
    topic = ask.topic.lower()
    fitting = [make_one for words, make_one in _KINDS if any(word in topic for word in words)]
    problem = rng.choice(fitting or [make_one for _, make_one in _KINDS])(rng)
    setting = ask.label("ambientazione", "contesto") or "una giornata di scuola"
    problem["problem"] = f"Argomento: {ask.topic or 'problemi'}. Ambientazione: {setting}. {problem['problem']}"
    return problem


def _discount(rng: random.Random) -> Problem:
    price, percent = rng.randrange(40, 400, 20), rng.choice([5, 10, 15, 20, 25, 30, 40])
    name, cut = rng.choice(_NAMES), price * percent // 100
    return {
        "problem": f"{name} trova un articolo da {price} € scontato del {percent}%. Quanto paga?",
        "steps": [
            f"Si cerca il prezzo finale, conoscendo il prezzo pieno ({price} €) e lo sconto ({percent}%).",
            f"Lo sconto è il {percent}% di {price} €: {price} × {percent} : 100 = {cut} €.",
            f"Il prezzo finale è quello pieno meno lo sconto: {price} € - {cut} € = {price - cut} €.",
        ],
        "answer": f"{price - cut} €",
        "check": f"Si paga il {100 - percent}% del prezzo: {price} × {100 - percent} : 100 = {price - cut}.",
    }


def _speed(rng: random.Random) -> Problem:
    speed, hours = rng.randrange(40, 130, 10), rng.randint(2, 6)
    return {
        "problem": f"Un mezzo percorre {speed * hours} km in {hours} ore a velocità costante. Quanto è veloce in km/h?",
        "steps": [
            f"Si cerca la velocità, conoscendo lo spazio ({speed * hours} km) e il tempo ({hours} h).",
            "Quando la velocità è costante, lo spazio è proporzionale al tempo, e v = s / t.",
            f"Si sostituiscono i dati: {speed * hours} km : {hours} h = {speed} km/h.",
        ],
        "answer": f"{speed} km/h",
        "check": f"In {hours} ore a {speed} km/h si percorrono {speed} × {hours} = {speed * hours} km, come nel testo.",
    }


def _proportion(rng: random.Random) -> Problem:
    people, more, each = rng.randint(2, 6), rng.randint(7, 15), rng.randrange(30, 120, 10)
    total = people * each
    return {
        "problem": f"Una ricetta per {people} persone richiede {total} g di farina. Quanta ne serve per {more}?",
        "steps": [
            f"Si cerca la quantità per {more} persone; per {people} servono {total} g.",
            f"La quantità è proporzionale alle persone: per una servono {total} : {people} = {each} g.",
            f"Per {more} persone servono {each} g × {more} = {each * more} g.",
        ],
        "answer": f"{each * more} g",
        "check": f"Il rapporto resta uguale: {total} : {people} e {each * more} : {more} danno entrambi {each}.",
    }


def _mean(rng: random.Random) -> Problem:
    mean = rng.randint(12, 40)
    shifts = rng.sample(range(1, 9), 2)
    values = [mean - shifts[0], mean + shifts[0], mean - shifts[1], mean + shifts[1], mean]
    rng.shuffle(values)
    listed = ", ".join(map(str, values))
    return {
        "problem": f"In cinque giorni si contano {listed} presenze. Qual è la media giornaliera?",
        "steps": [
            f"Si cerca la media aritmetica dei cinque valori {listed}.",
            f"La somma è {' + '.join(map(str, values))} = {5 * mean}.",
            f"Si divide per il numero dei giorni: {5 * mean} : 5 = {mean} presenze.",
        ],
        "answer": f"{mean} presenze",
        "check": "Gli scarti dalla media, con il loro segno, si compensano: la loro somma è zero.",
    }


def _rectangle(rng: random.Random) -> Problem:
    width, more = rng.randint(3, 15), rng.randint(2, 10)
    length = width + more
    return {
        "problem": f"Un'aiuola rettangolare è larga {width} m ed è {more} m più lunga che larga. Quanto misura l'area?",
        "steps": [
            f"Si cerca l'area; si conosce la larghezza, {width} m, e di quanto la lunghezza la supera, {more} m.",
            f"La lunghezza è {width} m + {more} m = {length} m.",
            f"L'area di un rettangolo è base per altezza: {length} m × {width} m = {length * width} m².",
        ],
        "answer": f"{length * width} m²",
        "check": f"Dividendo l'area per la larghezza si ritrova la lunghezza: {length * width} : {width} = {length}.",
    }


def _interest(rng: random.Random) -> Problem:
    capital, rate, years = rng.randrange(1000, 9000, 500), rng.randint(1, 5), rng.randint(2, 6)
    yearly = capital * rate // 100
    return {
        "problem": f"Quanto rendono {capital} € depositati per {years} anni all'interesse semplice del {rate}% annuo?",
        "steps": [
            f"Si cerca l'interesse; il capitale è {capital} €, il tasso {rate}%, la durata {years} anni.",
            f"In un anno matura il {rate}% del capitale: {capital} × {rate} : 100 = {yearly} €.",
            f"Con l'interesse semplice ogni anno dà lo stesso: {yearly} € × {years} = {yearly * years} €.",
        ],
        "answer": f"{yearly * years} €",
        "check": f"La formula I = C × r × t dà lo stesso: {capital} × {rate} × {years} : 100 = {yearly * years}.",
    }


def _density(rng: random.Random) -> Problem:
    density, volume = rng.randint(2, 11), rng.randrange(5, 60, 5)
    return {
        "problem": f"Un oggetto ha massa {density * volume} g e volume {volume} cm³. Qual è la sua densità?",
        "steps": [
            f"Si cerca la densità, conoscendo la massa ({density * volume} g) e il volume ({volume} cm³).",
            "La densità dice quanta massa c'è in ogni unità di volume: d = m / V.",
            f"Si divide: {density * volume} g : {volume} cm³ = {density} g/cm³.",
        ],
        "answer": f"{density} g/cm³",
        "check": f"A quella densità {volume} cm³ hanno massa {density} × {volume} = {density * volume} g.",
    }


def _ages(rng: random.Random) -> Problem:
    younger, more = rng.randint(5, 20), rng.randint(2, 12)
    first, second = rng.sample(_NAMES, 2)
    total = 2 * younger + more
    return {
        "problem": f"{first} ha {more} anni più di {second}; insieme ne hanno {total}. Quanti anni ha {second}?",
        "steps": [
            f"Si indica con x l'età di {second}; allora {first} ha x + {more} anni.",
            f"La somma è {total}: x + x + {more} = {total}, cioè 2x = {total} - {more} = {total - more}.",
            f"Si divide per 2: x = {younger}, quindi {second} ha {younger} anni.",
        ],
        "answer": f"{younger} anni",
        "check": f"{first} ha {younger + more} anni, e {younger} + {younger + more} = {total}, come dice il testo.",
    }


def _draw(rng: random.Random) -> Problem:
    red, blue = rng.randint(2, 9), rng.randint(2, 9)
    total = red + blue
    return {
        "problem": f"In un sacchetto ci sono {red} gettoni rossi e {blue} blu. Quanto è probabile pescarne uno rosso?",
        "steps": [
            f"Si cerca la probabilità di un gettone rosso; i casi favorevoli sono {red}.",
            f"I casi possibili sono tutti i gettoni: {red} + {blue} = {total}, ugualmente probabili.",
            f"La probabilità è il rapporto tra favorevoli e possibili: {red}/{total}.",
        ],
        "answer": f"{red}/{total}",
        "check": f"L'evento contrario ha probabilità {blue}/{total}, e la somma delle due è 1.",
    }


def _order(rng: random.Random) -> Problem:
    first, second, third, fourth = rng.sample(_NAMES, 4)
    return {
        "problem": (
            f"{second} è arrivato dopo {first} ma prima di {third}; {fourth} è arrivato per ultimo. "
            "Chi è arrivato per primo?"
        ),
        "steps": [
            "Si cerca chi occupa il primo posto tra quattro persone, usando soltanto gli indizi.",
            f"{fourth} è all'ultimo posto, e restano da ordinare {first}, {second} e {third}.",
            f"Dal primo indizio l'ordine è {first}, {second}, {third}: al primo posto c'è {first}.",
        ],
        "answer": first,
        "check": f"Nell'ordine {first}, {second}, {third}, {fourth} tutti gli indizi risultano veri.",
    }


_KINDS: tuple[tuple[tuple[str, ...], Callable[[random.Random], Problem]], ...] = (
    (("percentual", "sconti", "tariff", "costi", "voti"), _discount),
    (("velocità", "tempo", "fusi", "durate"), _speed),
    (("proporzional", "frazioni", "scal", "concentrazione", "massa nelle"), _proportion),
    (("media", "dati", "demografiche", "statistica"), _mean),
    (("aree", "perimetri", "volumi", "misure", "pitagora"), _rectangle),
    (("interesse", "risparmio"), _interest),
    (("densità",), _density),
    (("equazione", "incognite", "date", "successioni"), _ages),
    (("estrazioni", "eventi", "probabilità", "caratteri"), _draw),
    (("logica", "deduzioni", "ordinamenti", "abbinamenti", "condizioni", "algoritmo", "ragionamento"), _order),
)
