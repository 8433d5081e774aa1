"""Tune: search over the settings of a config, in a study that several processes and machines share.

space       the spaces of a config, and whether it takes their values       study      Optuna's, with trials that died
opening     the folder, the study, the score that trials are compared by    worker     one process at the trials
trial       one training, which the study hears and may stop                repeating  the best from several seeds
page        the report                                                      tune       one after the other
"""
