/* The models of models/ and the data that the tests give them: small, made here,
 * in the formats of the real data, which are not there when the tests run. */
#ifndef NETC_ZOO_H
#define NETC_ZOO_H

/* What a model reaches in the test: a loss between two bounds, and an accuracy of
 * at least so much. The bounds leave room for other processors, which add up in
 * another order. */
typedef struct ZooModel {
  const char *name;
  const char *(*data)(void); /* writes them; gives what follows --data */
  const char *constant, *epochs; /* NULL: the file's */
  double low, high, accuracy;
} ZooModel;


/* One for each file of models/; a name of NULL ends them. */
extern const ZooModel zoo_models[];

/* The model of a path such as "models/lenet.net"; NULL for any other file. */
const ZooModel *zoo_model(const char *path);

#endif
