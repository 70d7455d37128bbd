"""Fine-tuning, a concept a file; ``jobs.finetune`` starts it."""
