"""The built-in recipes' outputs: what the provider enforces, and the checks that a teacher would make.

Lengths and counts are checked here and told to the model in words, not put into the JSON Schema: in strict
mode the providers support different parts of it, and all of them support types, enums, lists and objects.
"""

from config.recipes.schemas.chat import Chat
from config.recipes.schemas.citations import Citations
from config.recipes.schemas.cloze import Cloze
from config.recipes.schemas.emotional_support import EmotionalSupport
from config.recipes.schemas.formulas import Formulas
from config.recipes.schemas.function_calling import FunctionCalling
from config.recipes.schemas.quiz import Quiz
from config.recipes.schemas.rag import Rag
from config.recipes.schemas.reasoning import Reasoning

__all__ = [
    "Chat",
    "Citations",
    "Cloze",
    "EmotionalSupport",
    "Formulas",
    "FunctionCalling",
    "Quiz",
    "Rag",
    "Reasoning",
]
